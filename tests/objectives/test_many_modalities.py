"""Many modalities: a step over drawn subsets is unbiased, and its size is the budget's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import MceConfig
from fedmce.models import MultimodalNet, NetworkSpec
from fedmce.objectives import OBJECTIVES, mce
from tests.oracles.worlds import CLASSES, facts_of, lively, make_batch, modality, rows_of, small_spec

EVEN = MceConfig(rarity="off", capability="off", subset_scale="mean", subset_budget=2)


def wide_spec(modalities: int) -> NetworkSpec:
    """Like ``small_spec``, with more modalities than the alphabet has first letters."""
    small = small_spec(2)
    return NetworkSpec(
        **vars(small)
        | {
            "modalities": tuple(modality(f"m{i:02}") for i in range(modalities)),
            "encoders": ("mlp",) * modalities,
            "classes": CLASSES,
        }
    )


def parts_of(config: MceConfig, net: MultimodalNet, available: Any, seed: int) -> dict[str, torch.Tensor]:
    rule = OBJECTIVES["mce"](config, facts_of(net.spec, available), np.random.default_rng(seed))
    return rule(net, make_batch(net.spec, available), available).parts


@pytest.mark.parametrize("part", ["subset", "completion", "distil"])
def test_the_mean_over_draws_is_the_loss_of_all_subsets(part: str) -> None:
    config = EVEN.model_copy(update={"distil_weight": 1.0})
    net, available = lively(MultimodalNet(small_spec(4))), rows_of([15, 15, 15], 4)
    exact = float(parts_of(config, net, available, 0)[part])
    sampled = config.model_copy(update={"subsets": "sampled"})
    draws = [float(parts_of(sampled, net, available, seed)[part]) for seed in range(200)]
    assert np.std(draws) > 0
    assert abs(np.mean(draws) - exact) < 4 * np.std(draws) / np.sqrt(len(draws))


@pytest.mark.parametrize("modalities", [7, 32, 40])
def test_a_step_of_many_modalities_predicts_its_budget_and_trains_everything(modalities: int) -> None:
    spec, sizes = wide_spec(modalities), []
    net, available = MultimodalNet(spec), np.random.default_rng(0).random((6, modalities)) < 0.9
    net.fusion.register_forward_hook(lambda _, given, __: sizes.append(len(given[0].row_p)))
    config = MceConfig(train_through=0.5, capability="adaptive")
    rule = OBJECTIVES["mce"](config, facts_of(spec, available), np.random.default_rng(0))
    loss = rule(net, make_batch(spec, available), available)
    loss.total.backward()
    assert sizes == [6 * (config.subset_budget + 1)] * 2
    assert torch.isfinite(loss.total)
    held = {spec.names[m] for m in np.flatnonzero(available.any(axis=0))}
    trained = {n for n in spec.names if all(p.grad is not None for p in net.encoder[n].parameters())}
    assert trained == held


def test_the_same_stream_draws_the_same_subsets() -> None:
    spec = wide_spec(9)
    net, available = lively(MultimodalNet(spec)), np.ones((4, 9), dtype=bool)
    first, again, other = (float(parts_of(MceConfig(), net, available, seed)["subset"]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("subsets", "drawn"), [("sampled", True), ("all", False)])
def test_one_hidden_modality_per_pair_is_completed_only_where_subsets_are_drawn(
    subsets: str, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    plan_terms = mce.hidden_terms

    def watched(pairs: Any, available: Any, draw: Any, last_only: bool) -> Any:
        seen.append(draw)
        return plan_terms(pairs, available, draw, last_only)

    monkeypatch.setattr(mce, "hidden_terms", watched)
    net, available = lively(MultimodalNet(small_spec(4))), rows_of([15], 4)
    parts_of(EVEN.model_copy(update={"subsets": subsets}), net, available, 0)
    assert [draw is not None for draw in seen] == [drawn]


def test_a_part_of_weight_nothing_is_not_worked_out() -> None:
    net, available = lively(MultimodalNet(small_spec(3))), rows_of([7, 3], 3)
    off = {"completion_weight": 0.0, "train_through": 0.0, "distil_weight": 0.0}
    assert parts_of(EVEN.model_copy(update=off), net, available, 0).keys() == {"task", "subset", "unimodal"}
    on = dict.fromkeys(off, 0.5)
    assert parts_of(EVEN.model_copy(update=on), net, available, 0).keys() == {
        "task", "subset", "unimodal", "completion", "through", "distil",
    }  # fmt: skip
