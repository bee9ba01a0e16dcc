"""Draws of rows: balanced, nested, and keyed by site alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.data.draws import balanced_order, draw_rows, stratified_split
from fedmce.errors import ConfigError
from fedmce.streams import generator

TARGETS = st.lists(st.integers(0, 3), min_size=1, max_size=80).map(lambda x: np.array(x, dtype=np.int64))


def test_a_stream_depends_on_seed_and_every_word_of_its_key() -> None:
    keys = [(0, ("a", "b")), (1, ("a", "b")), (0, ("a",)), (0, ("ab",)), (0, ("b", "a"))]
    draws = [generator(seed, *words).random() for seed, words in keys]
    assert len(set(draws)) == len(draws)
    assert generator(0, "a", "b").random() == draws[0]


@given(TARGETS, st.floats(0, 0.4), st.floats(0.05, 0.5))
def test_each_class_is_split_by_its_shares_within_half_a_row(
    targets: np.ndarray, validation: float, test: float
) -> None:
    split = stratified_split(targets, validation, test, generator(0, "x"))
    assert set(split) <= {"train", "validation", "test"}
    for target in np.unique(targets):
        own = split[targets == target]
        assert abs((own == "test").sum() - test * len(own)) <= 0.5
        assert (own == "validation").sum() <= validation * len(own) + 0.5


@given(TARGETS, st.data())
def test_a_larger_draw_keeps_the_smaller_one_and_both_are_balanced(targets: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(targets)))
    order = balanced_order(targets, generator(3, "x"))
    assert sorted(order) == list(range(len(targets)))
    assert set(draw_rows(targets, count, generator(3, "x"), "x")) == set(order[:count])
    taken = np.bincount(targets[order[:count]], minlength=4)
    exhausted = taken == np.bincount(targets, minlength=4)
    assert all(done or taken.max() - n <= 1 for n, done in zip(taken, exhausted, strict=True))


def test_a_draw_of_more_rows_than_there_are_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"dataset.train_rows at x: 3 rows given; needs at most 2"):
        draw_rows(np.array([0, 1]), 3, generator(0, "x"), "dataset.train_rows at x")
