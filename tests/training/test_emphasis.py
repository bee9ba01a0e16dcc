"""Where LCE's incentive acts beside the loss: step sizes, and passes over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig, TrainingConfig
from fedmce.models import MultimodalNet, state_of
from fedmce.objectives import OBJECTIVES, Emphasis, Loss
from fedmce.objectives.objective import Silent
from fedmce.training import make_optimiser, train_locally
from fedmce.training.local import epoch_passes
from tests.oracles.worlds import Bools, facts_of, patterns, rows_of, small_spec
from tests.training.test_local import SPEC, device_rows

NAMES = ("a", "b", "c")
WANTED = st.dictionaries(st.sampled_from(NAMES), st.floats(1, 4))


@given(available=patterns(3), extra=WANTED, seed=st.integers(0, 99))
def test_the_first_pass_visits_every_row_and_no_pass_visits_one_twice(
    available: Bools, extra: dict[str, float], seed: int
) -> None:
    passes = epoch_passes(available, NAMES, extra, np.random.default_rng(seed))
    assert sorted(passes[0].tolist()) == list(range(len(available)))
    for rows in passes:
        assert len(rows) > 0
        assert len(set(rows.tolist())) == len(rows)
    # Later passes visit rows of earlier ones alone only as often as asked: never more than rounded up.
    visits = np.bincount(np.concatenate(passes), minlength=len(available))
    wanted = np.where(available, [extra.get(m, 1.0) for m in NAMES], 1.0).max(axis=1)
    assert (visits >= np.floor(wanted)).all()
    assert (visits <= np.ceil(wanted)).all()


def test_a_row_is_visited_as_often_as_the_neediest_of_its_modalities_asks_for() -> None:
    available = rows_of([1, 2, 4, 3, 7], 3)
    repeats, extra = 2_000, {"b": 1.4, "c": 2.75}
    passes = epoch_passes(np.tile(available, (repeats, 1)), NAMES, extra, np.random.default_rng(0))
    visits = np.bincount(np.concatenate(passes)).reshape(repeats, -1).mean(axis=0)
    expected = np.array([1.0, 1.4, 2.75, 1.4, 2.75])
    part = expected % 1
    assert (np.abs(visits - expected) <= 4 * np.sqrt(part * (1 - part) / repeats) + 1e-12).all()


def test_without_emphasis_an_epoch_is_one_pass_and_draws_nothing_else() -> None:
    available = rows_of([1, 2, 4, 3, 7], 3)
    (rows,) = epoch_passes(available, NAMES, {}, np.random.default_rng(3))
    assert (rows == np.random.default_rng(3).permutation(5)).all()
    assert len(epoch_passes(available, NAMES, dict.fromkeys(NAMES, 1.0), np.random.default_rng(3))) == 1


def test_passes_are_shuffled() -> None:
    passes = epoch_passes(np.ones((50, 3), dtype=bool), NAMES, {"a": 3.0}, np.random.default_rng(0))
    assert [len(rows) for rows in passes] == [50, 50, 50]
    assert len({tuple(rows.tolist()) for rows in passes}) == 3


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_modality_s_own_group_holds_its_encoder_and_head_and_nothing_else(optimiser: str) -> None:
    net = MultimodalNet(SPEC)
    groups = make_optimiser(net, TrainingConfig(optimiser=optimiser), 0.1, ("a", "c", "nobody")).param_groups
    names = {id(p): n for n, p in net.named_parameters()}
    found = {g["name"]: {".".join(names[id(p)].split(".")[:2]) for p in g["params"]} for g in groups}
    assert found.pop("a") == {"encoder.a", "head.a"}
    assert found.pop("c") == {"encoder.c", "head.c"}
    rest = found.pop("")
    assert {"encoder.b", "head.b", "projection.a", "completion.a"} <= rest
    assert not found
    assert sum(len(g["params"]) for g in groups) == len(names)


class Fixed(Silent):
    """The mean of all parameters as loss, under some emphasis per epoch."""

    def __init__(self, *by_epoch: Emphasis, weight: dict[str, float] | None = None) -> None:
        self.by_epoch, self.weight = list(by_epoch), weight or {}

    def emphasis(self) -> Emphasis:
        return self.by_epoch.pop(0)

    def __call__(self, net: MultimodalNet, batch: Any, available: Any) -> Loss:
        total = sum(self.weight.get(n.split(".")[1], 1.0) * p.square().sum() for n, p in net.named_parameters())
        assert isinstance(total, torch.Tensor)
        return Loss(total, {"task": total.detach()})


def moves(rule: Any, optimiser: str, epochs: int = 1) -> dict[str, float]:
    """How far each component moved in one step per epoch, at most."""
    net = MultimodalNet(SPEC, seed=1)
    before = state_of(net)
    config = TrainingConfig(batch_size=99, local_epochs=epochs, optimiser=optimiser, momentum=0.0)
    train_locally(net, device_rows(), rule, config, lr=0.01, order=np.random.default_rng(0))
    after = state_of(net)
    found: dict[str, float] = {}
    for key in before:
        component = key.split("/")[0]
        found[component] = max(found.get(component, 0.0), float(np.abs(after[key] - before[key]).max()))
    return found


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_step_multiples_reach_exactly_their_encoder_and_head(optimiser: str) -> None:
    plain, stepped = moves(Fixed(Emphasis()), optimiser), moves(Fixed(Emphasis(step={"b": 2.5})), optimiser)
    for component in plain:
        multiple = 2.5 if component in ("encoder.b", "head.b") else 1.0
        assert stepped[component] == pytest.approx(multiple * plain[component], rel=2e-3), component


def test_step_multiples_follow_the_objective_from_epoch_to_epoch() -> None:
    seen: list[dict[str, float]] = []

    class Watched(Fixed):
        def __call__(self, net: MultimodalNet, batch: Any, available: Any) -> Loss:
            seen.append({g["name"]: g["lr"] for g in made[0].param_groups})
            return super().__call__(net, batch, available)

    made: list[torch.optim.Optimizer] = []
    from fedmce.training import local

    original = local.make_optimiser
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "make_optimiser", lambda *given: made.append(original(*given)) or made[0])
        moves(Watched(Emphasis(step={"a": 2.0}), Emphasis(step={"a": 3.0})), "adam", epochs=2)
    assert seen == [{"": 0.01, "a": 0.02}, {"": 0.01, "a": 0.03}]


def test_under_adam_a_loss_weight_on_what_one_loss_reaches_is_cancelled() -> None:
    """Two heads, loss weights 1 and 8: Adam moves them alike, SGD does not, and neither does a larger step."""
    weighted = {"weight": {"b": 8.0}}
    adam, sgd = (moves(Fixed(Emphasis(), **weighted), optimiser) for optimiser in ("adam", "sgd"))
    assert adam["head.b"] == pytest.approx(adam["head.a"], rel=1e-3)
    plain = moves(Fixed(Emphasis()), "sgd")
    assert sgd["head.b"] == pytest.approx(8 * plain["head.b"], rel=1e-3)
    stepped = moves(Fixed(Emphasis(step={"b": 3.0})), "adam")
    assert stepped["head.b"] == pytest.approx(3 * adam["head.a"], rel=1e-3)


def trained(choices: dict[str, Any], optimiser: str = "adam") -> tuple[dict[str, float], int]:
    """How far components moved in local training by the MCE objective at a site that rarely holds c."""
    rows = device_rows([3] * 20 + [7] * 4)
    # The unimodal loss alone reaches heads of a fusion that does not read them.
    spec = small_spec(3, "concat")
    net = MultimodalNet(spec, seed=1)
    before = state_of(net)
    config = MceConfig(rarity="local", capability="off", subset_weight=0, completion_weight=0, **choices)
    rule = OBJECTIVES["mce"](config, facts_of(spec, rows.observed.available), np.random.default_rng(0))
    training = TrainingConfig(batch_size=99, local_epochs=1, optimiser=optimiser, momentum=0.0)
    report = train_locally(net, rows, rule, training, lr=0.01, order=np.random.default_rng(0))
    after = state_of(net)
    return {
        key: float(np.abs(after[key] - before[key]).max()) for key in before if key.startswith("head")
    }, report.steps


def test_of_the_incentives_only_steps_move_a_rare_head_further_under_adam() -> None:
    loss, _ = trained({"incentive": "loss"})
    step, _ = trained({"incentive": "step"})
    assert loss["head.c/weight"] == pytest.approx(loss["head.a/weight"], rel=1e-2)
    assert step["head.c/weight"] == pytest.approx(3 * step["head.a/weight"], rel=1e-2)
    rarer = trained({"incentive": "loss"}, "sgd")[0]["head.c/weight"]
    assert rarer > 1.5 * trained({"incentive": "step", "incentive_cap": 1.0}, "sgd")[0]["head.c/weight"]


def test_the_incentive_of_rows_adds_passes_over_rows_that_hold_the_rare_modality() -> None:
    assert trained({"incentive": "loss"})[1] == trained({"incentive": "step"})[1] == 1
    assert trained({"incentive": "rows"})[1] == 3  # capped at three passes


@given(extra=WANTED)
@settings(max_examples=5)
def test_the_same_stream_gives_the_same_passes(extra: dict[str, float]) -> None:
    available = rows_of([1, 2, 4, 3, 7] * 3, 3)
    first, again = (epoch_passes(available, NAMES, extra, np.random.default_rng(5)) for _ in range(2))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
