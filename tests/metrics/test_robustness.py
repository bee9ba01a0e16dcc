"""Deployment means, worst cases, drops and curves of a table of scores: by hand, and by law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.metrics import deployed, drops, pattern_shares, rate_curve, score_sums, summary, worst

SHARE = st.floats(0, 1)
SCORES = st.dictionaries(st.sampled_from(["a", "b", "c", "a+b", "a+b+c"]), st.none() | SHARE, min_size=1)
COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c", "a+b", "a+b+c"]), st.integers(0, 9), min_size=1)


def test_the_deployment_mean_by_hand() -> None:
    shares = pattern_shares([{"a": 6, "a+b": 2}, {"b": 2}])
    assert shares == {"a": 0.6, "a+b": 0.2, "b": 0.2}
    found = deployed({"a": 0.5, "b": None, "a+b": 0.9}, shares)
    assert found.score == pytest.approx((0.6 * 0.5 + 0.2 * 0.9) / 0.8)
    assert found.covered == pytest.approx(0.8)


@given(scores=SCORES, sites=st.lists(COUNTS, max_size=4))
def test_a_deployment_mean_lies_between_the_scores_of_what_occurs(
    scores: dict[str, float | None], sites: list[dict[str, int]]
) -> None:
    shares = pattern_shares(sites)
    assert not shares or sum(shares.values()) == pytest.approx(1)
    found, known = deployed(scores, shares), [p for s in shares if (p := scores.get(s)) is not None]
    if not known:
        assert (found.score, found.covered) == (None, 0.0)
    else:
        assert found.score is not None
        assert min(known) - 1e-12 <= found.score <= max(known) + 1e-12
        assert 0 < found.covered <= 1 + 1e-12


def test_equal_shares_give_the_plain_mean_and_one_share_its_own_score() -> None:
    scores = {"a": 0.25, "b": 0.5, "a+b": 0.75}
    assert deployed(scores, dict.fromkeys(scores, 3.0)).score == pytest.approx(0.5)
    assert deployed(scores, {"b": 1.0}).score == 0.5


def test_the_deployment_mean_is_the_accuracy_of_rows_that_come_with_these_patterns() -> None:
    """What is scored with each row's own pattern equals P(S) weighted by how often S occurs, where P(S) is of those rows."""
    draw = np.random.default_rng(0)
    pattern, target = draw.integers(1, 4, 40), draw.integers(0, 3, 40)
    cells = score_sums(pattern, draw.dirichlet(np.ones(3), 40), target)
    names = {1: "a", 2: "b", 3: "a+b"}
    scores = {names[code]: hits / rows for code, (hits, rows) in cells["accuracy"].items()}
    shares = pattern_shares([{names[code]: int(rows) for code, (_, rows) in cells["accuracy"].items()}])
    assert deployed(scores, shares).score == pytest.approx(sum(h for h, _ in cells["accuracy"].values()) / 40)


@given(scores=SCORES)
def test_the_worst_is_the_lowest_score_under_its_name(scores: dict[str, float | None]) -> None:
    name, score = worst(scores)
    known = [p for p in scores.values() if p is not None]
    assert score == (min(known) if known else None)
    assert scores.get(name or "") == score


def test_drops_by_hand() -> None:
    lost, relative = drops({"a": 0.6, "b": None, "c": 0.9, "a+b": 0.8}, "a+b")
    assert lost == {"a": pytest.approx(0.2), "b": None, "c": pytest.approx(-0.1), "a+b": 0.0}
    assert relative == {"a": pytest.approx(0.25), "b": None, "c": pytest.approx(-0.125), "a+b": 0.0}


def test_a_drop_from_nothing_is_undefined() -> None:
    assert drops({"a": 0.5}, "a+b") == ({"a": None}, {"a": None})
    assert drops({"a": 0.0, "a+b": 0.0}, "a+b") == ({"a": 0.0, "a+b": 0.0}, {"a": None, "a+b": None})


def test_the_rate_curve_by_hand() -> None:
    """Kept: 1, 3/4, 1/4 at rates 0, 0.2, 0.8: trapezoids 0.2 * 7/8 + 0.6 * 1/2 over a range of 0.8."""
    points = [(0.8, 0.2), (0.0, 0.8), (0.2, 0.6)]
    assert rate_curve(points) == pytest.approx((0.2 * 0.875 + 0.6 * 0.5) / 0.8)


@given(rates=st.lists(st.floats(0.01, 1), min_size=1, max_size=6, unique=True), score=st.floats(0.1, 1))
def test_a_curve_that_keeps_all_is_1_and_the_unit_of_the_score_does_not_matter(
    rates: list[float], score: float
) -> None:
    flat = [(0.0, score), *((r, score) for r in rates)]
    assert rate_curve(flat) == pytest.approx(1)
    falling = [(0.0, score), *((r, score * (1 - r / 2)) for r in rates)]
    assert rate_curve(falling) == pytest.approx(1 - max(rates) / 4)
    assert rate_curve([(r, 100 * p) for r, p in falling]) == pytest.approx(rate_curve(falling))


@pytest.mark.parametrize(
    "points",
    [[], [(0.0, 0.5)], [(0.2, 0.5), (0.4, 0.4)], [(0.0, 0.0), (1.0, 0.0)], [(0.0, 0.5), (0.5, None), (1.0, 0.4)], [(0.0, None), (1.0, 0.4)]],
)  # fmt: skip
def test_a_curve_without_a_start_a_range_or_a_score_is_undefined(points: list[tuple[float, float | None]]) -> None:
    assert rate_curve(points) is None


@pytest.mark.parametrize("rates", [(0.0, 1.2), (-0.1, 0.0), (0.0, 0.5, 0.5)])
def test_rates_that_are_none_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"rate curve: rates .* needed distinct rates within \[0, 1\]"):
        rate_curve([(rate, 0.5) for rate in rates])


def one_hot(right: list[bool]) -> np.ndarray:
    return np.array([[1.0, 0.0] if r else [0.0, 1.0] for r in right])


def test_pooled_and_arithmetic_mean_differ_where_subsets_have_different_rows() -> None:
    """Subset a: 3 of 4 rows right; b: 0 of 1. Mean (3/4 + 0)/2, pooled 3/5."""
    cells = {
        "x": score_sums(np.array([1, 1, 1, 1, 2]), one_hot([True, True, True, False, False]), np.zeros(5, np.int64))
    }
    found = summary(cells, "accuracy", ["a", "b"])
    assert (found["mean_subset"], found["pooled_subset"]) == (pytest.approx(0.375), pytest.approx(0.6))
    assert found["overall"]["accuracy"] == {
        "mean_subset": found["mean_subset"],
        "pooled_subset": found["pooled_subset"],
    }
    assert (found["worst_subset_name"], found["worst_subset"]) == ("b", 0.0)


@given(rows=st.integers(1, 20), seed=st.integers(0, 99))
def test_pooled_accuracy_is_the_mean_where_every_row_is_scored_on_every_subset(rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    subset, target = np.repeat([1, 2, 3], rows), np.tile(draw.integers(0, 3, rows), 3)
    found = summary({"x": score_sums(subset, draw.dirichlet(np.ones(3), 3 * rows), target)}, "accuracy", ["a", "b"])
    assert found["pooled_subset"] == pytest.approx(found["mean_subset"])


def test_pooled_balanced_accuracy_is_that_of_all_pairs_and_not_the_mean_over_subsets() -> None:
    subset, target = np.array([1, 1, 1, 2]), np.array([0, 0, 1, 1])
    cells = {"x": score_sums(subset, np.eye(2)[[0, 0, 0, 1]], target)}
    found = summary(cells, "accuracy", ["a", "b"])["overall"]["balanced_accuracy"]
    assert found == {"mean_subset": pytest.approx((0.5 + 1) / 2), "pooled_subset": pytest.approx((1 + 0.5) / 2)}
    assert summary(cells, "accuracy", ["a", "b"])["overall"]["accuracy"]["pooled_subset"] == 0.75


def test_pooled_auc_compares_pairs_of_one_site_and_subset_only() -> None:
    """Each of two subsets orders its one pair rightly, but lies on another level: that level earns nothing."""
    subset, target = np.array([1, 1, 2, 2]), np.array([0, 1, 0, 1])
    level = np.array([0.1, 0.2, 0.8, 0.9])
    found = summary({"x": score_sums(subset, np.stack([1 - level, level], 1), target)}, "auc_within_sites", ["a", "b"])
    assert found["pooled_subset"] == 1.0
    assert found["overall"].keys() == {"auc_within_sites", "accuracy", "balanced_accuracy"}
