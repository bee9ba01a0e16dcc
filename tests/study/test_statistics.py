"""Paired statistics and ranks against hand examples, scipy's other doors and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.study.statistics import holm, interval, paired, ranks

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_the_interval_is_that_of_the_differences_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, t(.975, 2) = 4.302653, half = 4.302653 / sqrt(3).
    found = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.pairs, found.difference, found.wins) == (3, pytest.approx(2.0), 3)
    assert found.low is not None
    assert found.high is not None
    assert found.high - 2.0 == pytest.approx(4.302652730 / 3**0.5)
    assert 2.0 - found.low == pytest.approx(4.302652730 / 3**0.5)
    assert found.t_p == pytest.approx(0.0741799, abs=1e-6)  # t = 2 / (1 / sqrt(3)) = 3.4641, 2 degrees of freedom
    assert found.wilcoxon_p == pytest.approx(2 / 2**3)  # all three ranks on one side, both tails


def test_p_values_are_those_of_the_two_sample_doors_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    first, second = rng.normal(0.1, 1, 10), rng.normal(0, 1, 10)
    found = paired(first.tolist(), second.tolist())
    assert found.t_p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(first, second).pvalue)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_excludes_zero_exactly_where_the_t_test_says_so() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        found = paired(rng.normal(0.5, 1, 8).tolist(), rng.normal(0, 1, 8).tolist())
        assert found.low is not None
        assert found.high is not None
        assert found.t_p is not None
        assert (found.low > 0 or found.high < 0) == (found.t_p < 0.05)


def test_the_bootstrap_interval_is_repeatable_and_near_the_normal_one() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(1, 1, 200).tolist(), [0.0] * 200
    found, again = paired(first, second), paired(first, second)
    assert found == again
    assert found.low is not None
    assert found.boot_low is not None
    assert found.boot_low == pytest.approx(found.low, abs=0.03)


def test_one_pair_has_a_difference_and_nothing_else() -> None:
    found = paired([0.5], [0.25])
    assert (found.pairs, found.difference, found.low, found.t_p, found.wilcoxon_p) == (1, 0.25, None, None, None)


def test_differences_that_do_not_vary_need_no_test() -> None:
    same = paired([0.5, 0.75, 1.0], [0.5, 0.75, 1.0])
    assert (same.difference, same.low, same.high, same.t_p, same.wilcoxon_p) == (0.0, 0.0, 0.0, 1.0, 1.0)
    shifted = paired([0.5, 0.75, 1.0], [0.25, 0.5, 0.75])
    assert (shifted.low, shifted.high, shifted.t_p) == (0.25, 0.25, 0.0)
    assert shifted.wilcoxon_p == pytest.approx(0.25)


@pytest.mark.parametrize("given_scores", [([], []), ([1.0], [1.0, 2.0])])
def test_pairs_are_needed(given_scores: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="needed equal numbers"):
        paired(*given_scores)


def test_holm_by_hand() -> None:
    # Sorted .01 x 3, .03 x 2, .04 x 1, then never below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.oracle
@given(PROBABILITIES)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1].tolist())


def test_the_critical_difference_is_demsars() -> None:
    # Demsar 2006, section 3.2.2: four methods, fourteen data sets, q = 2.569, CD = 1.25.
    rng = np.random.default_rng(0)
    found = ranks({name: rng.random(14).tolist() for name in "abcd"})
    assert found.critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert found.blocks == 14


def test_mean_ranks_by_hand_ties_share_theirs_best_first() -> None:
    found = ranks({"low": [0.1, 0.1], "high": [0.9, 0.5], "tied": [0.2, 0.5]})
    assert found.mean == {"high": 1.25, "tied": 1.75, "low": 3.0}
    assert list(found.mean) == ["high", "tied", "low"]


def test_friedman_is_that_of_scipy_and_needs_three_methods_that_differ() -> None:
    from scipy import stats

    rows = [[0.9, 0.8, 0.7, 0.9], [0.5, 0.6, 0.4, 0.7], [0.1, 0.3, 0.2, 0.1]]
    found = ranks(dict(zip("abc", rows, strict=True)))
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*rows).pvalue)
    assert ranks({"a": [1.0, 2.0], "b": [2.0, 1.0]}).friedman_p is None
    assert ranks({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0]}).friedman_p is None


@pytest.mark.parametrize("scores", [{"a": [1.0]}, {"a": [], "b": []}])
def test_ranks_need_two_methods_and_a_block(scores: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="needed at least 2 methods and 1 block"):
        ranks(scores)


def test_the_interval_of_runs_is_students() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high - mean == pytest.approx(4.302652730 / 3**0.5)
    assert mean - low == pytest.approx(high - mean)
    assert interval([0.5]) == (0.5, 0.5, 0.5)
