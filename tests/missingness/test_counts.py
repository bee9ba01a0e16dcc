"""From shares to counts: every rounding rule keeps its promise."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import ImbalancedConfig, McarConfig
from fedmce.missingness.counts import count, counts
from tests.missingness.views import full, hide, view

PERCENT = st.integers(0, 100)


@given(percent=PERCENT, rows=st.integers(0, 500))
def test_floor_and_nearest_are_those_of_exact_arithmetic(percent: int, rows: int) -> None:
    exact = Fraction(percent, 100) * rows
    assert count(percent / 100, rows, "floor") == math.floor(exact)
    assert count(percent / 100, rows, "nearest") == math.floor(exact + Fraction(1, 2))
    assert count(percent / 100, rows, "largest_remainder") == count(percent / 100, rows, "nearest")


def test_a_share_that_is_whole_is_not_lost_to_binary_fractions() -> None:
    assert 0.29 * 100 < 29
    assert count(0.29, 100, "floor") == 29


@given(weights=st.lists(st.integers(0, 30), min_size=1, max_size=9).filter(any), rows=st.integers(0, 300))
def test_largest_remainder_adds_up_and_each_part_is_within_one_of_its_share(weights: list[int], rows: int) -> None:
    shares = np.array(weights) / sum(weights)
    found = counts(shares, rows, "largest_remainder")
    assert found.sum() == rows
    assert np.abs(found - shares * rows).max() < 1
    order = np.argsort(shares)
    assert (np.diff(found[order]) >= -1).all()


@given(weights=st.lists(st.integers(0, 30), min_size=1, max_size=9).filter(any), rows=st.integers(0, 300))
def test_floor_never_exceeds_a_share_and_leaves_fewer_rows_than_parts(weights: list[int], rows: int) -> None:
    found = counts(np.array(weights) / sum(weights), rows, "floor")
    exact = [Fraction(w * rows, sum(weights)) for w in weights]
    assert found.tolist() == [math.floor(e) for e in exact]
    assert rows - found.sum() < len(weights)


def test_rounding_by_hand() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    assert counts(shares, 7, "floor").tolist() == [3, 2, 1]
    assert counts(shares, 7, "nearest").tolist() == [4, 2, 1]
    assert counts(shares, 7, "largest_remainder").tolist() == [4, 2, 1]  # fractions .5, .1, .4
    assert counts(np.array([0.5, 0.5]), 3, "nearest").tolist() == [2, 1]  # never more rows than there are
    assert counts(np.array([0.98, 0.01, 0.01]), 10, "floor", least=1).tolist() == [8, 1, 1]
    assert counts(np.array([0.9, 0.05, 0.0]), 100, "floor", least=7).tolist() == [90, 7, 0]


@pytest.mark.parametrize(("rounding", "expected"), [("floor", 12), ("nearest", 13), ("largest_remainder", 13)])
def test_the_rounding_rule_reaches_the_masks(rounding: str, expected: int) -> None:
    for config in (McarConfig(rate=0.5, rounding=rounding), ImbalancedConfig(in_order=(0.5,) * 3, rounding=rounding)):
        hidden, _ = hide(config, view(full(25)))
        assert hidden.sum(axis=0).tolist() == [expected] * 3


def test_rates_in_order_stand_in_the_place_of_rates_by_name() -> None:
    config = ImbalancedConfig(rates={"a": 0.9}, in_order=(0.1, 0.5, 0.2))
    assert config.rates == {}
    hidden, rates = hide(config, view(full(50)))
    assert hidden.sum(axis=0).tolist() == [5, 25, 10]
    assert rates == {"a": 0.1, "b": 0.5, "c": 0.2}
