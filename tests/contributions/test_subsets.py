"""Codes and names of subsets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedmce.subsets import members, pattern_codes, scored_subsets, subset_name, subsets_of
from tests.oracles.worlds import Bools, patterns


@given(available=patterns(5))
def test_codes_and_members_are_each_other_s_inverse(available: Bools) -> None:
    assert np.array_equal(members(pattern_codes(available), 5), available)


@given(pattern=st.integers(0, 255))
def test_subsets_of_a_pattern_are_all_nonempty_ones_in_order(pattern: int) -> None:
    assert subsets_of(pattern) == tuple(code for code in range(1, pattern + 1) if code & ~pattern == 0)


def test_names_join_modalities_in_data_set_order() -> None:
    assert scored_subsets(["image", "audio"]) == {"image": 1, "audio": 2, "image+audio": 3}
    assert list(scored_subsets("abc")) == ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    assert subset_name(5, "abc") == "a+c"
    assert subset_name(0, "abc") == "nothing"
