"""Law 5: subsets of a row, and the share that each has in the row's loss."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings

from fedmce.objectives.pairs import EXACT_LIMIT, all_pairs, share_of_row
from tests.oracles.worlds import Bools, patterns


@given(available=patterns(4))
def test_pairs_are_every_nonempty_subset_of_every_row_once(available: Bools) -> None:
    pairs = all_pairs(available)
    expected = []
    for row, holds in enumerate(available):
        held = np.flatnonzero(holds).tolist()
        for subset in chain.from_iterable(combinations(held, size) for size in range(1, len(held) + 1)):
            expected.append((row, subset))
    found = [(int(r), tuple(np.flatnonzero(m).tolist())) for r, m in zip(pairs.row, pairs.member, strict=True)]
    assert sorted(found) == sorted(expected)
    assert (pairs.subset & ~pairs.pattern == 0).all()
    assert pairs.is_full.sum() == len(available)
    assert (pairs.row[pairs.is_full] == np.arange(len(available))).all()


@given(available=patterns(5))
@settings(max_examples=30)
def test_shares_of_a_row_s_proper_subsets_are_equal_and_add_up_to_one(available: Bools) -> None:
    pairs = all_pairs(available)
    share = share_of_row(pairs)
    assert (share[pairs.is_full] == 0).all()
    for row, holds in enumerate(available):
        own = share[(pairs.row == row) & ~pairs.is_full]
        assert own.sum() == pytest.approx(1.0 if holds.sum() > 1 else 0.0)
        assert len(set(own.tolist())) <= 1


@given(available=patterns(4))
@settings(max_examples=30)
def test_summed_every_proper_subset_weighs_as_much_as_the_full_set_in_the_task_loss(available: Bools) -> None:
    pairs = all_pairs(available)
    assert (share_of_row(pairs, "sum") == ~pairs.is_full).all()


def test_more_modalities_than_can_be_listed_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{EXACT_LIMIT + 1} modalities; all subsets are listed up to {EXACT_LIMIT}"):
        all_pairs(np.ones((1, EXACT_LIMIT + 1), dtype=bool))
