"""Laws 7, 8 and 9: what a modality's weight in the unimodal losses depends on, and on what it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig
from fedmce.objectives import SiteFacts
from fedmce.objectives.lce import LearningCapability, modality_weights, rarity
from fedmce.objectives.unimodal import unimodal_loss
from tests.oracles.worlds import facts_of, rows_of, small_spec

CPU = torch.device("cpu")
COUNTS = st.integers(1, 200)


def facts(a: int, b: int, rows: int = 200, lack: dict[str, float] | None = None) -> SiteFacts:
    return SiteFacts(("a", "b"), rows, {"a": a, "b": b}, 1000, {"a": 300 + a, "b": 300 + b}, lack or {})


def weights(config: MceConfig, known: SiteFacts) -> dict[str, float]:
    running = LearningCapability(config, known, CPU)
    return dict(zip(running.held, running.weights().tolist(), strict=True))


@pytest.mark.parametrize("capability", ["gap", "shapley", "adaptive", "published", "off"])
@pytest.mark.parametrize("kind", ["global", "local", "raw", "off"])
@given(count=COUNTS, lack=st.floats(0, 1))
@settings(max_examples=10)
def test_equal_counts_and_equal_skill_weigh_one(kind: str, capability: str, count: int, lack: float) -> None:
    config = MceConfig(rarity=kind, capability=capability)
    found = weights(config, facts(count, count, lack={"a": lack, "b": lack}))
    assert found == {"a": pytest.approx(1.0), "b": pytest.approx(1.0)}


@pytest.mark.parametrize("kind", ["global", "local"])
@given(a=COUNTS, b=COUNTS)
def test_weights_have_mean_one_below_the_cap_and_favour_the_rarer(kind: str, a: int, b: int) -> None:
    found = weights(MceConfig(rarity=kind, weight_cap=100), facts(a, b))
    assert sum(found.values()) / 2 == pytest.approx(1.0)
    assert (found["a"] - found["b"]) * (b - a) >= 0


@given(a=COUNTS, b=COUNTS, cap=st.floats(1, 1.9))
def test_no_weight_is_above_its_cap_or_below_zero(a: int, b: int, cap: float) -> None:
    assert all(0 < w <= cap + 1e-12 for w in weights(MceConfig(rarity="local", weight_cap=cap), facts(a, b)).values())


@given(a=COUNTS, b=COUNTS)
def test_twice_the_same_rows_change_no_weight(a: int, b: int) -> None:
    once = facts(a, b)
    twice = replace(
        once,
        rows=2 * once.rows,
        all_rows=2 * once.all_rows,
        rows_by_modality={m: 2 * n for m, n in once.rows_by_modality.items()},
        all_rows_by_modality={m: 2 * n for m, n in once.all_rows_by_modality.items()},
    )
    for kind in ("global", "local", "raw"):
        config = MceConfig(rarity=kind, normalise=kind != "raw")
        assert weights(config, once) == pytest.approx(weights(config, twice))


@given(few=COUNTS, more=COUNTS)
def test_local_rarity_does_not_rise_with_rows_and_is_rows_over_holding_rows(few: int, more: int) -> None:
    few, more = min(few, more), max(few, more)
    assert rarity("local", facts(few, 7))["a"] >= rarity("local", facts(more, 7))["a"] >= 1
    assert rarity("local", facts(few, 7))["a"] == 200 / few


def test_global_rarity_counts_the_rows_of_all_sites() -> None:
    assert rarity("global", facts(100, 200)) == {"a": 1000 / 400, "b": 1000 / 500}
    assert rarity("off", facts(100, 200)) == {"a": 1.0, "b": 1.0}
    assert rarity("raw", facts(100, 200)) == {"a": 2.0, "b": 1.0}


@pytest.mark.parametrize("kind", ["global", "local", "off"])
def test_a_modality_that_the_site_lacks_has_no_weight_and_no_division_by_zero(kind: str) -> None:
    known = replace(facts(5, 0), all_rows_by_modality={"a": 5, "b": 0})
    assert rarity(kind, known).keys() == {"a"}
    assert weights(MceConfig(rarity=kind), known) == {"a": pytest.approx(1.0)}


@given(lack=st.floats(0, 1), floor=st.floats(0.1, 1))
def test_the_floor_keeps_every_modality_switched_on(lack: float, floor: float) -> None:
    found = weights(MceConfig(rarity="off", capability_floor=floor), facts(9, 9, lack={"a": 0.0, "b": lack}))
    assert found["a"] >= floor / (floor + 1) - 1e-12
    assert all(math.isfinite(w) for w in found.values())


def test_weights_carry_no_gradient() -> None:
    factor = torch.tensor([1.0, 3.0], requires_grad=True)
    assert not modality_weights(factor, factor * 2, cap=4.0).requires_grad


def test_the_unimodal_loss_is_a_mean_over_present_modalities_of_means_over_their_rows() -> None:
    available = torch.from_numpy(rows_of([1, 1, 3, 1], 3))
    logits, targets = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1, 0])
    each = -torch.log_softmax(logits, dim=2)[torch.arange(4), :, targets]
    weight = torch.tensor([0.5, 1.5, 9.0])
    expected = (0.5 * each[:, 0].mean() + 1.5 * each[2, 1]) / 2
    torch.testing.assert_close(unimodal_loss(logits, targets, available, weight), expected)


def test_absent_rows_add_nothing_to_the_unimodal_loss_whatever_their_logits() -> None:
    available = torch.from_numpy(rows_of([1, 3], 2))
    logits, targets = torch.zeros(2, 2, 3), torch.tensor([0, 1])
    wild = logits.clone()
    wild[0, 1] = torch.tensor([9.0, -9.0, 99.0])
    ones = torch.ones(2)
    assert unimodal_loss(logits, targets, available, ones) == unimodal_loss(wild, targets, available, ones)


def test_a_batch_moves_the_weights_towards_the_modality_that_lags() -> None:
    spec = small_spec(2)
    running = LearningCapability(MceConfig(rarity="off", smoothing=0.0), facts_of(spec, rows_of([3, 3], 2)), CPU)
    running.observe(torch.tensor([0.0, 1.0]), torch.tensor([2, 2]))
    np.testing.assert_allclose(running.weights(), [0.5 / 1.0, 1.5 / 1.0])


def test_without_floor_and_lack_nothing_tells_modalities_apart() -> None:
    nothing = torch.zeros(3)
    assert modality_weights(torch.tensor([1.0, 2.0, 3.0]), nothing, None).tolist() == [1.0, 1.0, 1.0]
    assert modality_weights(torch.tensor([1.0, 2.0, 3.0]), nothing, None, normalise=False).tolist() == [0.0, 0.0, 0.0]


def test_weights_are_products_as_published_or_of_mean_one_and_at_most_their_cap() -> None:
    rare, lacks = torch.tensor([4.0, 1.0]), torch.tensor([3.0, 0.5])
    assert modality_weights(rare, lacks, None, normalise=False).tolist() == [12.0, 0.5]
    np.testing.assert_allclose(modality_weights(rare, lacks, None), [12 / 6.25, 0.5 / 6.25])
    np.testing.assert_allclose(modality_weights(rare, lacks, 1.5), [1.5, 0.5 / 6.25])
