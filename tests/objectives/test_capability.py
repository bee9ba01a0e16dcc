"""B_m over batches: gaps, adaptive weights, and where the incentive acts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig
from fedmce.objectives import SiteFacts
from fedmce.objectives.lce import AdaptiveCapability, Capability, LearningCapability, relative
from fedmce.objectives.shortfall import Observed, gap, values
from tests.objectives.test_lce import CPU, facts
from tests.oracles.lce_rows import value


def gap_after(full: list[bool], alone: list[bool], held: list[bool], smoothing: float = 0.0) -> float:
    """B of one modality after a batch of one pair per row."""
    rows = torch.arange(len(full))
    one_column = (torch.tensor(column)[:, None] for column in (alone, held))
    alone_bm, held_bm = (column.to(kind) for column, kind in zip(one_column, (torch.float64, torch.bool), strict=True))
    seen = Observed(torch.tensor(full, dtype=torch.float64), rows, rows, alone_bm, held_bm)
    capability = Capability(torch.tensor([0.25]), 0.5, smoothing)
    capability.update(gap(seen), held_bm.sum(dim=0))
    return float(capability.value())


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


def observed(config: MceConfig, held: dict[str, int], lack: list[float], rows: list[int]) -> LearningCapability:
    known = SiteFacts(("a", "b", "c"), 10, held, 30, {"a": 9, "b": 9, "c": 9}, dict.fromkeys("abc", 0.4))
    running = LearningCapability(config, known, CPU)
    running.observe(torch.tensor(lack), torch.tensor(rows))
    return running


def test_what_is_observed_of_a_modality_reaches_that_modality() -> None:
    """The site lacks b: columns of a batch and places of weights differ."""
    config = MceConfig(rarity="off", smoothing=0.5, capability_floor=0.0, normalise=False, weight_cap=None)
    running = observed(config, {"a": 5, "b": 0, "c": 5}, [0.0, 9.0, 1.0], [5, 0, 5])
    assert running.held == ["a", "c"]
    assert running.columns.tolist() == [0, 2]
    np.testing.assert_allclose(running.weights(), [0.2, 0.7])
    np.testing.assert_allclose(observed(config, {"a": 5, "c": 5}, [0.0, 9.0, 1.0], [0, 0, 5]).weights(), [0.4, 0.7])


def test_no_capability_observes_nothing() -> None:
    running = observed(MceConfig(rarity="off", capability="off"), {"a": 5, "c": 1}, [0.0, 9.0, 1.0], [5, 0, 5])
    assert not running.observes
    assert running.weights().tolist() == [1.0, 1.0]
    assert observed(MceConfig(), {"a": 5, "c": 1}, [0.0, 9.0, 1.0], [5, 0, 5]).observes


LACKS = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(batches=st.lists(LACKS, min_size=1, max_size=30), rate=st.floats(0.1, 3), smoothing=st.floats(0, 0.9))
def test_adaptive_capability_stays_between_its_floor_and_the_largest_excess(
    batches: list[list[float]], rate: float, smoothing: float
) -> None:
    capability = AdaptiveCapability(torch.tensor(batches[0]), 0.3, smoothing, rate)
    for lack in batches:
        capability.update(torch.tensor(lack), torch.ones(3))
        assert (capability.value() >= 0.3).all()
        # An excess over the mean of three is 2/3 at most.
        assert (capability.value() <= math.exp(rate * (2 / 3) / (1 - smoothing)) * (1 + 1e-9)).all()


@given(lacks=LACKS, rate=st.floats(0.1, 2))
def test_adaptive_capability_rises_with_the_excess_gap(lacks: list[float], rate: float) -> None:
    capability = AdaptiveCapability(torch.full((3,), 0.5), 0.0, 0.8, rate)
    assert capability.value().tolist() == [1.0, 1.0, 1.0]
    capability.update(torch.tensor(lacks), torch.ones(3))
    found, mean = capability.value().tolist(), sum(lacks) / 3
    for lack, weight in zip(lacks, found, strict=True):
        assert weight == pytest.approx(math.exp(rate * (lack - mean)))


def test_a_constant_excess_stays_where_the_start_puts_it() -> None:
    lack = torch.tensor([0.1, 0.2, 0.6])
    capability = AdaptiveCapability(lack, 0.0, 0.9, 0.5)
    before = capability.value()
    np.testing.assert_allclose(before, np.exp(0.5 * (lack.numpy() - 0.3) / 0.1))
    for _ in range(20):
        capability.update(lack, torch.ones(3))
    np.testing.assert_allclose(capability.value(), before)


def test_adaptive_capability_leaves_modalities_that_a_batch_lacks_as_they_were() -> None:
    capability = AdaptiveCapability(torch.tensor([0.5, 0.5, 0.5]), 0.0, 0.9, 1.0)
    capability.update(torch.tensor([0.1, 0.3, 99.0]), torch.tensor([2, 1, 0]))
    np.testing.assert_allclose(capability.value(), np.exp([-0.1, 0.1, 0.0]))
    capability.update(torch.tensor([9.0, 9.0, 9.0]), torch.zeros(3))
    np.testing.assert_allclose(capability.value(), np.exp([-0.1, 0.1, 0.0]))


def test_emphasis_is_relative_to_the_best_equipped_modality_and_capped() -> None:
    np.testing.assert_allclose(relative(torch.tensor([0.5, 1.0, 9.0]), 3.0), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(relative(torch.tensor([0.0, 1.0]), 3.0), [1.0, 3.0])


@pytest.mark.parametrize("incentive", ["loss", "step", "rows"])
def test_the_incentive_acts_in_one_place_alone(incentive: str) -> None:
    config = MceConfig(incentive=incentive, rarity="local", capability="off", incentive_cap=1.7)
    running = LearningCapability(config, facts(200, 100), CPU)
    emphasis, capped = running.emphasis(), {"a": pytest.approx(1.0), "b": pytest.approx(1.7)}
    assert emphasis.step == (capped if incentive == "step" else {})
    assert emphasis.rows == (capped if incentive == "rows" else {})
    expected = [2 / 3, 4 / 3] if incentive == "loss" else [1.0, 1.0]
    np.testing.assert_allclose(running.loss_weights(), expected)
    np.testing.assert_allclose(running.weights(), [2 / 3, 4 / 3])


@pytest.mark.parametrize("kind", ["accuracy", "probability", "soft_dice", "negative_squared_error"])
def test_values_of_logits_are_those_of_their_probabilities(kind: str) -> None:
    logits, target = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 0.5], [0.1, 0.2, 0.3]]), torch.tensor([0, 2, 2])
    expected = [value(kind, torch.softmax(z, dim=0).tolist(), int(y)) for z, y in zip(logits, target, strict=True)]
    np.testing.assert_allclose(values(kind, logits, target), expected)
