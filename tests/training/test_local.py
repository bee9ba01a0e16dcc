"""The local loop: same seed same bits, schedules, and what it leaves alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig, ModalityDropoutConfig, TaskObjectiveConfig, TrainingConfig
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet, State, state_of
from fedmce.objectives import OBJECTIVES
from fedmce.streams import generator
from fedmce.training import DeviceRows, TrainingReport, learning_rate, make_optimiser, train_locally
from tests.oracles.worlds import facts_of, make_site, plain_statistics, rows_of, small_spec

CODES = [7, 1, 6, 4, 2, 5, 3, 7, 1, 1, 3, 7, 1]
SPEC = small_spec(3)
OBJECTIVE_CONFIGS = [MceConfig(), TaskObjectiveConfig(), ModalityDropoutConfig()]


def device_rows(codes: list[int] = CODES) -> DeviceRows:
    site = make_site("x", np.ones((len(codes), 3), dtype=bool))
    seen = observe(site, SiteMask(site.sample_ids, rows_of(codes, 3)), SPEC.modalities, "train")
    return DeviceRows(seen, plain_statistics(SPEC), SPEC.names, torch.device("cpu"))


def trained(
    rule: Any, seed: int = 0, training: TrainingConfig | None = None, rows: DeviceRows | None = None
) -> tuple[State, TrainingReport]:
    rows, net = rows or device_rows(), MultimodalNet(SPEC, seed=1)
    facts = facts_of(SPEC, rows.observed.available)
    report = train_locally(
        net,
        rows,
        OBJECTIVES[rule.name](rule, facts, generator(seed, "objective")),
        training or TrainingConfig(batch_size=4),
        lr=0.01,
        order=generator(seed, "order"),
    )
    return state_of(net), report


@pytest.mark.parametrize("rule", OBJECTIVE_CONFIGS, ids=lambda r: r.name)
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(rule: Any, optimiser: str) -> None:
    training = TrainingConfig(batch_size=4, optimiser=optimiser)
    (first, one), (again, two), (other, _) = (trained(rule, seed, training) for seed in (0, 0, 1))
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    assert one.losses == two.losses
    assert any(not np.array_equal(first[key], other[key]) for key in first)


def test_the_global_generators_play_no_part() -> None:
    torch.manual_seed(1)
    first, _ = trained(ModalityDropoutConfig())
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002 - what must not matter
    again, _ = trained(ModalityDropoutConfig())
    assert all(np.array_equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize(("epochs", "size", "steps"), [(1, 4, 4), (3, 13, 3), (2, 100, 2), (2, 1, 26)])
def test_every_epoch_passes_over_every_row_once(epochs: int, size: int, steps: int) -> None:
    rows, seen = device_rows(), []

    class Spy(DeviceRows):
        def batch(self, chosen: Any, mask_bm: Any = None) -> Any:
            seen.append(chosen.tolist())
            return rows.batch(chosen, mask_bm)

    spy = object.__new__(Spy)
    spy.__dict__ |= rows.__dict__
    _, report = trained(TaskObjectiveConfig(), 0, TrainingConfig(batch_size=size, local_epochs=epochs), spy)
    assert report.steps == len(seen) == steps
    assert sorted(row for batch in seen for row in batch) == sorted(list(range(13)) * epochs)


def test_training_lowers_the_loss_and_reports_its_mean_by_name() -> None:
    short = trained(MceConfig(), training=TrainingConfig(batch_size=4, local_epochs=1))[1]
    long = trained(MceConfig(), training=TrainingConfig(batch_size=4, local_epochs=40))[1]
    assert set(short.losses) == {"task", "unimodal", "subset", "completion"}
    assert long.losses["task"] < short.losses["task"]
    assert long.losses["subset"] < short.losses["subset"]


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_components_of_a_modality_that_no_row_holds_stay_bit_by_bit(optimiser: str) -> None:
    before = state_of(MultimodalNet(SPEC, seed=1))
    rows = device_rows([5, 1, 4, 5, 5])
    after, _ = trained(MceConfig(), 0, TrainingConfig(batch_size=2, optimiser=optimiser, weight_decay=0.1), rows)
    for key in before:
        if key.split("/")[0] in {"encoder.b", "projection.b", "head.b", "completion.b"}:
            assert np.array_equal(after[key], before[key]), key
    assert not np.array_equal(after["encoder.a/1.weight"], before["encoder.a/1.weight"])


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_modality_that_first_comes_in_a_later_batch_is_trained_from_there_on(optimiser: str) -> None:
    before = state_of(MultimodalNet(SPEC, seed=1))
    training = TrainingConfig(batch_size=1, local_epochs=1, optimiser=optimiser)
    after, report = trained(MceConfig(), 0, training, device_rows([1, 2, 4, 1, 2, 4, 3, 6]))
    assert report.steps == 8
    for name in SPEC.names:
        key = f"head.{name}/weight"
        assert np.isfinite(after[key]).all()
        assert not np.array_equal(after[key], before[key])


@given(rounds=st.integers(2, 60), share=st.floats(0, 1), lr=st.floats(1e-4, 1))
def test_the_step_size_falls_from_lr_to_its_final_share(rounds: int, share: float, lr: float) -> None:
    config = TrainingConfig(lr=lr, final_lr_share=share)
    sizes = [learning_rate(config, number, rounds) for number in range(1, rounds + 1)]
    assert sizes[0] == pytest.approx(lr)
    assert sizes[-1] == pytest.approx(lr * share, abs=1e-12)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(sizes))


def test_the_step_size_is_constant_by_default_and_half_way_it_is_half_way() -> None:
    assert {learning_rate(TrainingConfig(lr=0.3), number, 7) for number in range(1, 8)} == {0.3}
    assert learning_rate(TrainingConfig(lr=1.0, final_lr_share=0.2), 6, 11) == pytest.approx(0.6)
    assert learning_rate(TrainingConfig(lr=1.0, final_lr_share=0.2), 1, 1) == 1.0


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimiser_is_the_configured_one_at_the_round_s_step_size(name: str, kind: type) -> None:
    config = TrainingConfig(optimiser=name, momentum=0.7, weight_decay=0.03)
    made = make_optimiser(MultimodalNet(SPEC), config, 0.5)
    assert isinstance(made, kind)
    (group,) = made.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.03)
    assert group.get("momentum", 0.7) == 0.7


def test_sgd_without_momentum_takes_the_step_of_the_gradient() -> None:
    rows, rule = device_rows(), TaskObjectiveConfig()
    net = MultimodalNet(SPEC, seed=1)
    batch, available = rows.batch(generator(0, "order").permutation(13))
    OBJECTIVES["task"](rule, facts_of(SPEC, available), generator(0, "objective"))(
        net, batch, available
    ).total.backward()
    config = TrainingConfig(batch_size=13, local_epochs=1, optimiser="sgd", momentum=0.0)
    after, _ = trained(rule, 0, config, rows)
    gradient = net.fusion.out.weight.grad
    assert gradient is not None
    expected = (net.fusion.out.weight - 0.01 * gradient).detach().numpy()
    np.testing.assert_allclose(after["fusion/out.weight"], expected, rtol=1e-6, atol=1e-8)
