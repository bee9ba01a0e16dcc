"""Scores from sums against scikit-learn, and that sums add up over sites."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fedmce.metrics import Cells, add_cells, balanced_accuracy, concordance, primary, ratio, score_sums, summary

Scored = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]
SUBSETS = {"a": 1, "b": 2, "a+b": 3}


def scored(pairs: int, classes: int, seed: int, subsets: int = 3) -> Scored:
    """Pairs with coarse probabilities, so that scores tie."""
    numbers = np.random.default_rng(seed)
    raw = numbers.integers(1, 5, (pairs, classes)).astype(float)
    return (
        numbers.integers(1, subsets + 1, pairs),
        raw / raw.sum(axis=1, keepdims=True),
        numbers.integers(0, classes, pairs),
    )


@given(pairs=st.integers(1, 60), classes=st.integers(2, 4), seed=st.integers(0, 999))
def test_accuracy_and_balanced_accuracy_are_scikit_learn_s(pairs: int, classes: int, seed: int) -> None:
    subset, probability, target = scored(pairs, classes, seed)
    cells, guess = score_sums(subset, probability, target), probability.argmax(axis=1)
    for code in np.unique(subset).tolist():
        here = subset == code
        assert ratio(cells["accuracy"][code]) == pytest.approx(sk.accuracy_score(target[here], guess[here]))
        known = np.unique(target[here])
        expected = sk.recall_score(target[here], guess[here], labels=known, average="macro", zero_division=0)
        assert balanced_accuracy(cells, code) == pytest.approx(expected)


@given(pairs=st.integers(2, 60), seed=st.integers(0, 999))
def test_auc_is_scikit_learn_s_with_ties(pairs: int, seed: int) -> None:
    subset, probability, target = scored(pairs, 2, seed)
    cells = score_sums(subset, probability, target)
    for code in np.unique(subset).tolist():
        here = subset == code
        found = ratio(cells["auc"][code])
        if len(np.unique(target[here])) < 2:
            assert found is None
        else:
            assert found == pytest.approx(sk.roc_auc_score(target[here], probability[here, 1]))


@given(
    score=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    data=st.data(),
)
def test_concordance_counts_pairs_and_halves_ties(score: list[int], data: st.DataObject) -> None:
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score))))
    values = np.array(score, dtype=float)
    won = sum((p > n) + 0.5 * (p == n) for p in values[positive] for n in values[~positive])
    assert concordance(values, positive) == (won, float(positive.sum() * (~positive).sum()))


@given(classes=st.integers(2, 3), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_accuracy_and_recall_of_sites_add_up_to_those_of_all_rows(classes: int, sizes: list[int]) -> None:
    parts = {f"site{i}": scored(n, classes, i) for i, n in enumerate(sizes)}
    total = add_cells({site: score_sums(*part) for site, part in parts.items()})
    together = score_sums(*(np.concatenate(columns) for columns in zip(*parts.values(), strict=True)))
    for metric, by_subset in together.items():
        if metric != "auc":
            assert total[metric] == by_subset


def test_adding_up_changes_no_site_and_does_not_see_their_order() -> None:
    parts = {site: score_sums(*scored(9, 2, i)) for i, site in enumerate("xyz")}
    first = add_cells(parts)
    assert parts == {site: score_sums(*scored(9, 2, i)) for i, site in enumerate("xyz")}
    assert add_cells(dict(reversed(parts.items()))) == first


def within_sites(offsets: dict[str, float]) -> float | None:
    """AUC over two sites whose scores are moved by an offset each."""
    parts: dict[str, Cells] = {}
    for i, (site, offset) in enumerate(offsets.items()):
        subset, probability, target = scored(40, 2, i, subsets=1)
        moved = np.stack([1 - probability[:, 1] - offset, probability[:, 1] + offset], axis=1)
        parts[site] = score_sums(subset, moved, target)
    return primary(add_cells(parts), "auc_within_sites", {"a": 1})["a"]


def test_knowing_the_site_earns_nothing_in_auc_within_sites() -> None:
    plain = within_sites({"x": 0.0, "y": 0.0})
    assert plain is not None
    assert within_sites({"x": 5.0, "y": -5.0}) == within_sites({"x": -3.0, "y": 2.0}) == pytest.approx(plain)


def test_a_site_counts_in_auc_within_sites_by_the_pairs_that_it_can_compare() -> None:
    def site(scores: list[float], target: list[int]) -> Cells:
        column = np.array(scores)
        return score_sums(np.ones(len(scores), np.int64), np.stack([1 - column, column], axis=1), np.array(target))

    parts = {"all right": site([0.1, 0.9, 0.8], [0, 1, 1]), "wrong": site([0.9, 0.1], [0, 1]), "mute": site([0.5], [1])}
    assert primary(add_cells(parts), "auc_within_sites", {"a": 1})["a"] == pytest.approx(2 / 3)
    found = summary(parts, "auc_within_sites", ["a"])
    assert found["per_site"] == {"all right": {"a": 1.0}, "mute": {"a": None}, "wrong": {"a": 0.0}}
    assert found["secondary"]["auc_site_mean"]["a"] == pytest.approx(0.5)


def test_a_ratio_of_nothing_is_undefined() -> None:
    assert ratio(None) is None
    assert ratio([0.0, 0.0]) is None
    assert ratio([0.0, 2.0]) == 0.0


def test_a_summary_by_hand() -> None:
    right, wrong = np.array([[0.9, 0.05, 0.05]]), np.array([[0.1, 0.8, 0.1]])
    cells = {
        "x": score_sums(np.array([1, 1, 3]), np.concatenate([right, wrong, right]), np.array([0, 0, 0])),
        "y": score_sums(np.array([1]), right, np.array([0])),
    }
    found = summary(cells, "accuracy", ["a", "b"])
    assert found["per_subset"] == {"a": pytest.approx(2 / 3), "b": None, "a+b": 1.0}
    assert found["rows"] == {"a": 3, "b": 0, "a+b": 1}
    assert found["mean_subset"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["worst_subset"] == pytest.approx(2 / 3)
    assert found["full"] == 1.0
    assert found["per_site"] == {"x": {"a": 0.5, "b": None, "a+b": 1.0}, "y": {"a": 1.0, "b": None, "a+b": None}}
    assert found["secondary"] == {"balanced_accuracy": found["per_subset"]}


def test_a_summary_of_nothing_is_undefined_throughout() -> None:
    found = summary({}, "accuracy", ["a", "b"])
    assert found["per_subset"] == dict.fromkeys(SUBSETS)
    assert found["mean_subset"] is found["worst_subset"] is found["full"] is None
