"""Equity of contributions and imbalance of updates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.metrics import equity, gini, learning_imbalance, update_sizes

PHI = st.lists(st.floats(0, 1), min_size=2, max_size=6)


def named(values: list[float]) -> dict[str, float | None]:
    return {str(i): v for i, v in enumerate(values)}


def test_equity_by_hand() -> None:
    """Shares 3/4 and 1/4: Gini 1/4; the negative contribution counts as none."""
    two = equity({"a": 0.3, "b": 0.1, "absent": None})
    assert two["gini"] == pytest.approx(0.75)
    assert two["entropy"] == pytest.approx((0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / math.log(2))
    assert equity({"a": 0.3, "b": -0.2}) == {"gini": pytest.approx(0.5), "entropy": 0.0}


@given(values=PHI)
def test_equity_is_bounded_blind_to_names_and_to_scale(values: list[float]) -> None:
    found = equity(named(values))
    if sum(values) == 0:
        assert found == {"gini": None, "entropy": None}
        return
    assert found["gini"] is not None
    assert found["entropy"] is not None
    assert 1 / len(values) - 1e-9 <= found["gini"] <= 1 + 1e-9
    assert 0 <= found["entropy"] <= 1 + 1e-9
    for other in (values[::-1], [3 * v for v in values]):
        assert equity(named(other)) == {k: pytest.approx(v, abs=1e-9) for k, v in found.items()}


@given(value=st.floats(0.01, 1), modalities=st.integers(2, 6))
def test_equal_contributions_are_even_and_a_sole_one_is_not(value: float, modalities: int) -> None:
    even = equity(named([value] * modalities))
    assert (even["gini"], even["entropy"]) == (pytest.approx(1), pytest.approx(1))
    sole = equity(named([value] + [0.0] * (modalities - 1)))
    assert (sole["gini"], sole["entropy"]) == (pytest.approx(1 / modalities), 0.0)


@pytest.mark.parametrize("phi", [{}, {"a": 0.5}, {"a": 0.5, "b": None}, {"a": -0.1, "b": 0.0}])
def test_equity_of_fewer_than_two_or_of_none_that_contributes_is_undefined(phi: dict[str, float | None]) -> None:
    assert equity(phi) == {"gini": None, "entropy": None}


@given(values=st.lists(st.floats(0, 5), min_size=1, max_size=8))
def test_gini_by_pairs_is_gini_by_ranks(values: list[float]) -> None:
    if sum(values) < 1e-6:
        return
    x, n = np.sort(values), len(values)
    assert gini(values) == pytest.approx(2 * (np.arange(1, n + 1) * x).sum() / (n * x.sum()) - (n + 1) / n, abs=1e-9)


def state(**arrays: float) -> dict[str, np.ndarray]:
    return {key.replace("__", "/").replace("_of_", "."): np.full((2, 3), v, np.float32) for key, v in arrays.items()}


def test_the_size_of_an_update_is_its_root_mean_square_per_encoder() -> None:
    """Two parameters of six numbers each: one moves by 3, one by 0; and nothing else of the model counts."""
    old = state(encoder_of_a__w=1, encoder_of_a__b=1, encoder_of_b__w=1, head_of_a__w=1, fusion__w=1)
    new = state(encoder_of_a__w=4, encoder_of_a__b=1, encoder_of_b__w=1, head_of_a__w=9, fusion__w=9)
    assert update_sizes(old, new) == {"a": pytest.approx(3 / math.sqrt(2))}


def test_running_statistics_are_no_update() -> None:
    keys = ["encoder.a/0.running_mean", "encoder.a/0.running_var", "encoder.a/0.num_batches_tracked"]
    old, new = ({key: np.full(2, v, np.float32) for key in keys} for v in (0, 7))
    assert update_sizes(old, new) == {}


def test_an_update_does_not_depend_on_how_many_parameters_an_encoder_has() -> None:
    small, large = np.zeros(4, np.float32), np.zeros(400, np.float32)
    old = {"encoder.a/w": small, "encoder.b/w": large}
    found = update_sizes(old, {"encoder.a/w": small + 0.5, "encoder.b/w": large + 0.5})
    assert found["a"] == found["b"] == pytest.approx(0.5)


def test_learning_imbalance_by_hand() -> None:
    """g_a = (1 + 3) / 2, g_b = 4 of one holder: mean 3, sd 1."""
    mean, imbalance = learning_imbalance([{"x": {"a": 1.0}, "y": {"b": 4.0}}, {"x": {"a": 3.0}}])
    assert mean == {"a": 2.0, "b": 4.0}
    assert imbalance == pytest.approx(1 / 3)


@given(size=st.floats(0.001, 10), modalities=st.integers(2, 5), scale=st.floats(0.1, 10))
def test_encoders_that_move_alike_are_balanced_whatever_the_step_size(
    size: float, modalities: int, scale: float
) -> None:
    assert learning_imbalance([{"x": {str(i): size for i in range(modalities)}}])[1] == pytest.approx(0, abs=1e-9)
    uneven = [{"x": {str(i): size * (i + 1) for i in range(modalities)}}]
    scaled = [{"x": {m: scale * v for m, v in uneven[0]["x"].items()}}]
    assert learning_imbalance(scaled)[1] == pytest.approx(learning_imbalance(uneven)[1])


def test_the_imbalance_of_fewer_than_two_encoders_is_undefined() -> None:
    assert learning_imbalance([]) == ({}, None)
    assert learning_imbalance([{"x": {"a": 1.0}}]) == ({"a": 1.0}, None)


def test_a_contribution_next_to_nothing_has_no_part_in_the_entropy() -> None:
    assert equity({"a": 1.0, "b": 1.0, "c": 5e-324})["entropy"] == equity({"a": 1.0, "b": 1.0, "c": 0.0})["entropy"]
