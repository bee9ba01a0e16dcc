"""Law 5 for subsets that are drawn: uniform, unbiased, and without work for every subset."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.objectives.completion import hidden_terms
from fedmce.objectives.pairs import Pairs, all_pairs, sampled_pairs, share_of_row
from tests.objectives.test_pairs import check_codes, found_in, listed
from tests.oracles.worlds import Bools, patterns, rows_of

Stream = np.random.Generator


def draw(available: Bools, budget: int, seed: int = 0) -> Pairs:
    return sampled_pairs(available, budget, np.random.default_rng(seed))


@given(available=patterns(5), budget=st.integers(2, 40), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_drawn_subsets_are_proper_and_the_full_set_is_always_there(available: Bools, budget: int, seed: int) -> None:
    pairs = draw(available, budget, seed)
    check_codes(pairs, available)
    assert pairs.member.any(axis=1).all()
    assert not (pairs.member & ~available[pairs.row]).any()
    for row, holds in enumerate(available):
        every = 2 ** int(holds.sum()) - 2
        own = pairs.subset[(pairs.row == row) & ~pairs.is_full]
        assert len(own) == (every if every <= budget else budget // 2 * 2)
        if every <= budget:
            assert len(set(own.tolist())) == every


@given(available=patterns(4))
@settings(max_examples=20)
def test_a_budget_for_all_subsets_lists_all_of_them(available: Bools) -> None:
    assert sorted(found_in(draw(available, 14))) == sorted(listed(available))


@given(available=patterns(5), budget=st.integers(2, 29), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_every_drawn_subset_comes_with_the_rest_of_its_row(available: Bools, budget: int, seed: int) -> None:
    pairs = draw(available, budget, seed)
    for row in range(len(available)):
        own = (pairs.row == row) & ~pairs.is_full
        found = Counter(pairs.subset[own].tolist())
        rest = Counter((pairs.pattern[own] ^ pairs.subset[own]).tolist())
        assert found == rest


@given(available=patterns(5), budget=st.integers(2, 12))
@settings(max_examples=30)
def test_shares_of_drawn_subsets_add_up_to_one_per_row(available: Bools, budget: int) -> None:
    pairs = draw(available, budget)
    share = np.bincount(pairs.row, weights=share_of_row(pairs), minlength=len(available))
    np.testing.assert_allclose(share, (available.sum(axis=1) > 1).astype(float))


@pytest.mark.parametrize("code", [0b1111, 0b10111, 0b11111])
def test_draws_are_uniform_over_the_proper_subsets_of_what_the_row_holds(code: int) -> None:
    rows = 6_000
    pairs = draw(rows_of([code] * rows, 5), 2)
    # Only one of a couple of complements: the two depend on each other.
    first = pairs.subset[::3]
    expected = [s for s in range(1, code) if s & ~code == 0]
    count = Counter(first.tolist())
    assert set(count) == set(expected)
    p = 1 / len(expected)
    bound = 4 * np.sqrt(rows * p * (1 - p))
    assert max(abs(n - rows * p) for n in count.values()) < bound


def mean_of_draws(available: Bools, budget: int, worth: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over draws of each row's share-weighted value, and its standard error."""
    repeated = np.tile(available, (draws, 1))
    pairs = draw(repeated, budget, 7)
    weighted = share_of_row(pairs) * worth[pairs.row % len(available), pairs.subset]
    sums = np.bincount(pairs.row, weights=weighted, minlength=len(repeated)).reshape(draws, -1)
    return sums.mean(axis=0), sums.std(axis=0, ddof=1) / np.sqrt(draws)


@pytest.mark.parametrize("budget", [2, 6, 9])
def test_the_mean_over_many_draws_is_the_mean_over_all_subsets(budget: int) -> None:
    available = rows_of([0b11111, 0b1111, 0b11, 0b1, 0b10101], 5)
    worth = np.random.default_rng(1).exponential(size=(5, 32))
    exact_pairs = all_pairs(available)
    weighted = share_of_row(exact_pairs) * worth[exact_pairs.row, exact_pairs.subset]
    exact = np.bincount(exact_pairs.row, weights=weighted, minlength=5)
    mean, error = mean_of_draws(available, budget, worth, 4_000)
    assert (np.abs(mean - exact) <= 4 * error + 1e-9).all()
    assert (error[:2] > 0).all()


def test_one_drawn_hidden_entry_per_pair_stands_for_all_of_them() -> None:
    available = rows_of([0b1111, 0b111, 0b1101, 0b1], 4)
    pairs, worth = all_pairs(available), np.random.default_rng(2).normal(size=(4, 16, 4))
    everything = hidden_terms(pairs, available)
    columns = everything.modality
    exact = worth[pairs.row[everything.pair], pairs.subset[everything.pair], columns].sum()
    assert (everything.scale == 1).all()
    stream, sums = np.random.default_rng(3), []
    for _ in range(3_000):
        drawn = hidden_terms(pairs, available, stream)
        assert drawn.total == everything.total == len(everything.pair)
        columns = drawn.modality
        sums.append((drawn.scale * worth[pairs.row[drawn.pair], pairs.subset[drawn.pair], columns]).sum())
    assert abs(np.mean(sums) - exact) < 4 * np.std(sums) / np.sqrt(len(sums))


@given(available=patterns(4), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_every_pair_that_hides_something_draws_one_entry_of_it(available: Bools, seed: int) -> None:
    pairs = all_pairs(available)
    drawn = hidden_terms(pairs, available, np.random.default_rng(seed))
    assert sorted(drawn.pair.tolist()) == np.flatnonzero(~pairs.is_full).tolist()
    columns = drawn.modality
    assert available[pairs.row[drawn.pair], columns].all()
    assert not pairs.member[drawn.pair, columns].any()
    hidden = (available[pairs.row] & ~pairs.member).sum(axis=1)
    assert (drawn.scale == hidden[drawn.pair]).all()


@given(available=patterns(4))
@settings(max_examples=30)
def test_hidden_entries_are_what_the_row_holds_and_the_subset_does_not(available: Bools) -> None:
    pairs = all_pairs(available)
    terms = hidden_terms(pairs, available)
    columns = terms.modality
    expected = {
        (p, m)
        for p, (row, subset) in enumerate(found_in(pairs))
        for m in range(4)
        if available[row, m] and m not in subset
    }
    assert set(zip(terms.pair.tolist(), columns.tolist(), strict=True)) == expected
    assert len(terms.pair) == len(expected) == terms.total
    assert (np.diff(terms.modality) >= 0).all()


@pytest.mark.parametrize("modalities", [32, 40])
def test_many_modalities_cost_the_budget_and_not_every_subset(modalities: int) -> None:
    available = np.random.default_rng(0).random((64, modalities)) < 0.8
    began = time.perf_counter()
    pairs = draw(available, 8)
    terms = hidden_terms(pairs, available, np.random.default_rng(0))
    assert time.perf_counter() - began < 1  # 2^32 of anything takes longer
    check_codes(pairs, available)
    assert len(pairs.row) == 64 * 9
    assert len(terms.pair) == 64 * 8
    # Half of what a row holds is seen in its draws, since each comes with its complement.
    seen = pairs.member[~pairs.is_full].sum(axis=0)
    assert (seen == 4 * available.sum(axis=0)).all()


def test_rows_of_few_and_of_many_modalities_share_a_batch_in_order() -> None:
    available = rows_of([0b1, 0b111111, 0b11, 0b111, 0b111111, 0b100000], 6)
    pairs = draw(available, 6)
    check_codes(pairs, available)
    assert np.bincount(pairs.row).tolist() == [1, 7, 3, 7, 7, 1]


@pytest.mark.parametrize(("budget", "pairs"), [(12, 13), (13, 13), (14, 15), (15, 15)])
def test_subsets_are_listed_from_the_budget_on_that_pays_all_of_them(budget: int, pairs: int) -> None:
    """Four modalities have 14 proper subsets; with less they are drawn in pairs."""
    assert len(draw(rows_of([15], 4), budget).row) == pairs
