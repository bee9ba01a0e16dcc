"""Law 5: subsets of a row, and the share that each has in the row's loss."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig
from fedmce.errors import ConfigError
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.pairs import Pairs, all_pairs, full_pairs, share_of_row
from fedmce.objectives.plan import needs_subsets, samples_subsets
from fedmce.subsets import EXACT_LIMIT, pattern_codes
from tests.oracles.worlds import Bools, facts_of, patterns, rows_of, small_spec


def listed(available: Bools) -> list[tuple[int, tuple[int, ...]]]:
    """Every (row, non-empty subset), row by row."""
    found = []
    for row, holds in enumerate(available):
        held = np.flatnonzero(holds).tolist()
        for subset in chain.from_iterable(combinations(held, size) for size in range(1, len(held) + 1)):
            found.append((row, subset))
    return found


def found_in(pairs: Pairs) -> list[tuple[int, tuple[int, ...]]]:
    return [(int(r), tuple(np.flatnonzero(m).tolist())) for r, m in zip(pairs.row, pairs.member, strict=True)]


def check_codes(pairs: Pairs, available: Bools) -> None:
    """Codes say what members say; rows ascend and end with their full set."""
    assert (pairs.subset == pattern_codes(pairs.member)).all()
    assert (pairs.pattern == pattern_codes(available)[pairs.row]).all()
    assert (np.diff(pairs.row) >= 0).all()
    last = np.append(np.flatnonzero(np.diff(pairs.row)), len(pairs.row) - 1)
    assert (np.flatnonzero(pairs.is_full) == last).all()
    assert (pairs.row[pairs.is_full] == np.arange(len(available))).all()


@given(available=patterns(4))
def test_pairs_are_every_nonempty_subset_of_every_row_once(available: Bools) -> None:
    pairs = all_pairs(available)
    assert sorted(found_in(pairs)) == sorted(listed(available))
    check_codes(pairs, available)


@given(available=patterns(4))
@settings(max_examples=20)
def test_where_nothing_looks_at_subsets_only_full_sets_are_predicted(available: Bools) -> None:
    pairs = full_pairs(available)
    check_codes(pairs, available)
    assert (pairs.member == available).all()
    assert not share_of_row(pairs).any()


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


def test_as_many_modalities_as_can_be_listed_are_and_more_are_refused() -> None:
    assert len(all_pairs(np.ones((1, EXACT_LIMIT), dtype=bool)).row) == 2**EXACT_LIMIT - 1
    with pytest.raises(ConfigError, match=f"{EXACT_LIMIT + 1} modalities; all subsets are listed up to {EXACT_LIMIT}"):
        all_pairs(np.ones((1, EXACT_LIMIT + 1), dtype=bool))


def test_subsets_are_drawn_beyond_six_modalities_or_where_the_configuration_says_so() -> None:
    auto = MceConfig()
    assert [samples_subsets(auto, m) for m in (2, 6, 7, 32)] == [False, False, True, True]
    assert samples_subsets(MceConfig(subsets="sampled"), 2)
    assert not samples_subsets(MceConfig(subsets="all"), 12)


@pytest.mark.parametrize("capability", ["shapley", "published"])
def test_values_of_every_subset_are_refused_where_subsets_are_drawn(capability: str) -> None:
    config, available = MceConfig(capability=capability), np.ones((2, 3), dtype=bool)
    facts = facts_of(small_spec(3), available)
    OBJECTIVES["mce"](config, facts, np.random.default_rng(0))
    many = facts_of(small_spec(3), available)
    object.__setattr__(many, "modalities", tuple("abcdefg"))
    with pytest.raises(ConfigError, match=f"capability={capability}: needs every subset of 7 modalities"):
        OBJECTIVES["mce"](config, many, np.random.default_rng(0))


@pytest.mark.parametrize("use", ["subset_weight", "distil_weight", "completion_weight", "train_through"])
@given(weight=st.floats(0.01, 3))
@settings(max_examples=3)
def test_any_use_of_subsets_lists_them(use: str, weight: float) -> None:
    none = {"subset_weight": 0.0, "completion_weight": 0.0, "capability": "gap"}
    assert not needs_subsets(MceConfig(**none))
    assert needs_subsets(MceConfig(**none | {use: weight}))


@pytest.mark.parametrize(
    ("capability", "needs"), [("gap", 0), ("adaptive", 0), ("off", 0), ("shapley", 1), ("published", 1)]
)
def test_some_capabilities_need_the_value_of_every_subset(capability: str, needs: int) -> None:
    assert needs_subsets(MceConfig(subset_weight=0, completion_weight=0, capability=capability)) == bool(needs)


def test_a_row_with_one_modality_has_no_proper_subset() -> None:
    pairs = all_pairs(rows_of([2], 3))
    assert pairs.subset.tolist() == pairs.pattern.tolist() == [2]
    assert share_of_row(pairs).tolist() == share_of_row(pairs, "sum").tolist() == [0.0]
