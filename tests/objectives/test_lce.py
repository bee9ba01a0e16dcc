"""Laws 7, 8 and 9: what a modality's weight in the unimodal losses depends on, and on what it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig
from fedmce.objectives import SiteFacts
from fedmce.objectives.lce import CapabilityGap, LearningCapability, modality_weights, rarity
from fedmce.objectives.mce import unimodal_loss
from tests.oracles.worlds import facts_of, rows_of, small_spec

CPU = torch.device("cpu")
COUNTS = st.integers(1, 200)


def facts(a: int, b: int, rows: int = 200, gap: dict[str, float] | None = None) -> SiteFacts:
    return SiteFacts(("a", "b"), rows, {"a": a, "b": b}, 1000, {"a": 300 + a, "b": 300 + b}, gap or {})


def weights(config: MceConfig, known: SiteFacts) -> dict[str, float]:
    running = LearningCapability(config, known, CPU)
    return dict(zip(running.held, running.weights().tolist(), strict=True))


@pytest.mark.parametrize("kind", ["global", "local", "off"])
@given(count=COUNTS, gap=st.floats(0, 1))
def test_equal_counts_and_equal_skill_weigh_one(kind: str, count: int, gap: float) -> None:
    found = weights(MceConfig(rarity=kind), facts(count, count, gap={"a": gap, "b": gap}))
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
    for kind in ("global", "local"):
        config = MceConfig(rarity=kind)
        assert weights(config, once) == pytest.approx(weights(config, twice))


@given(few=COUNTS, more=COUNTS)
def test_local_rarity_does_not_rise_with_rows_and_is_rows_over_holding_rows(few: int, more: int) -> None:
    few, more = min(few, more), max(few, more)
    assert rarity("local", facts(few, 7))["a"] >= rarity("local", facts(more, 7))["a"] >= 1
    assert rarity("local", facts(few, 7))["a"] == 200 / few


def test_global_rarity_counts_the_rows_of_all_sites() -> None:
    assert rarity("global", facts(100, 200)) == {"a": 1000 / 400, "b": 1000 / 500}
    assert rarity("off", facts(100, 200)) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("kind", ["global", "local", "off"])
def test_a_modality_that_the_site_lacks_has_no_weight_and_no_division_by_zero(kind: str) -> None:
    known = replace(facts(5, 0), all_rows_by_modality={"a": 5, "b": 0})
    assert rarity(kind, known).keys() == {"a"}
    assert weights(MceConfig(rarity=kind), known) == {"a": pytest.approx(1.0)}


def gap_after(full: list[bool], alone: list[bool], held: list[bool], smoothing: float = 0.0) -> float:
    gap = CapabilityGap(["a"], {"a": 0.25}, 0.5, smoothing, CPU)
    gap.update(torch.tensor(full), torch.tensor(alone)[:, None], torch.tensor(held)[:, None])
    return float(gap.value())


def test_the_gap_is_the_share_of_its_rows_where_all_are_right_and_it_alone_is_wrong() -> None:
    full, alone, held = (
        [True, True, False, True, True],
        [False, True, False, False, False],
        [True, True, True, True, False],
    )
    assert gap_after(full, alone, held) == pytest.approx(0.5 + 2 / 4)
    assert gap_after(full, alone, held, smoothing=0.9) == pytest.approx(0.5 + 0.9 * 0.25 + 0.1 * 0.5)


@given(rows=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=12), data=st.data())
def test_the_gap_does_not_rise_with_the_skill_of_the_modality(
    rows: list[tuple[bool, bool, bool]], data: st.DataObject
) -> None:
    full, alone, held = (list(column) for column in zip(*rows, strict=True))
    before = gap_after(full, alone, held)
    alone[data.draw(st.integers(0, len(rows) - 1))] = True
    assert gap_after(full, alone, held) <= before + 1e-12


@given(
    rows=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=12), n=st.integers(2, 5)
)
def test_the_gap_does_not_depend_on_the_size_of_the_batch(rows: list[tuple[bool, bool, bool]], n: int) -> None:
    full, alone, held = (list(column) for column in zip(*rows, strict=True))
    assert gap_after(full * n, alone * n, held * n) == pytest.approx(gap_after(full, alone, held))


def test_a_batch_without_the_modality_leaves_its_gap_as_it_was() -> None:
    assert gap_after([True, True], [False, False], [False, False], smoothing=0.3) == 0.75


@given(gap=st.floats(0, 1), floor=st.floats(0.1, 1))
def test_the_floor_keeps_every_modality_switched_on(gap: float, floor: float) -> None:
    found = weights(MceConfig(rarity="off", capability_floor=floor), facts(9, 9, gap={"a": 0.0, "b": gap}))
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
    right, alone = torch.tensor([True, True]), torch.tensor([[True, False], [True, False]])
    running.observe(right, alone, torch.ones(2, 2, dtype=torch.bool))
    np.testing.assert_allclose(running.weights(), [0.5 / 1.0, 1.5 / 1.0])
