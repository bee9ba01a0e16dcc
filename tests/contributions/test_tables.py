"""Laws 12 and 14: value tables add up, and what is not defined stays so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.contributions import ValueTable, contributions, pattern_index, pooled, pooled_interactions
from fedmce.objectives.pairs import all_pairs
from tests.oracles.games import shapley_by_orders
from tests.oracles.worlds import Bools, patterns, rows_of

NAMES = ("a", "b", "c")


def table_of(available: Bools, seed: int = 0) -> ValueTable:
    """Rows that are right or wrong on each subset by the toss of a coin."""
    pairs = all_pairs(available)
    right = np.random.default_rng(seed).integers(0, 2, len(pairs.row)).astype(float)
    table = ValueTable(available.shape[1])
    table.add(pairs.pattern, pairs.subset, right)
    return table


def constant_table(worth: dict[int, float], counts: dict[int, int]) -> ValueTable:
    """``counts`` rows of each pattern, every subset worth what it is worth."""
    pairs = all_pairs(rows_of([e for e, n in counts.items() for _ in range(n)], 3))
    table = ValueTable(3)
    table.add(pairs.pattern, pairs.subset, np.array([worth[int(s)] for s in pairs.subset]))
    return table


WORTH = {1: 0.5, 2: 0.4, 3: 0.6, 4: 0.3, 5: 0.55, 6: 0.45, 7: 0.7}


@given(available=patterns(3, max_rows=12), cut=st.integers(0, 12))
def test_a_table_adds_up_over_any_split_of_its_rows(available: Bools, cut: int) -> None:
    pairs = all_pairs(available)
    values = np.random.default_rng(1).integers(0, 2, len(pairs.row)).astype(float)
    whole, parts = ValueTable(3), [ValueTable(3), ValueTable(3)]
    whole.add(pairs.pattern, pairs.subset, values)
    for part, chosen in zip(parts, (pairs.row < cut, pairs.row >= cut), strict=True):
        part.add(pairs.pattern[chosen], pairs.subset[chosen], values[chosen])
    assert (parts[0] + parts[1]).cells == whole.cells
    assert pooled({"x": parts[0], "y": parts[1]}, 3).cells == whole.cells


@given(available=patterns(3, max_rows=12))
def test_cells_are_sums_over_the_rows_of_their_pattern(available: Bools) -> None:
    table = table_of(available)
    codes = [sum(1 << m for m in range(3) if row[m]) for row in available]
    assert table.patterns() == {e: codes.count(e) for e in sorted(set(codes))}
    for (pattern, subset), (total, square, rows) in table.cells.items():
        assert subset & ~pattern == 0 < subset
        assert rows == codes.count(pattern)
        assert total == square  # of zeros and ones


def test_adding_tables_changes_neither() -> None:
    first, second = table_of(rows_of([7, 3], 3)), table_of(rows_of([7], 3))
    before = {key: list(cell) for key, cell in first.cells.items()}
    _ = first + second
    assert first.cells == before


def test_tables_of_other_modalities_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="2 and 3 modalities"):
        ValueTable(2) + ValueTable(3)


@given(available=patterns(3))
def test_columns_carry_a_table_there_and_back(available: Bools) -> None:
    table = table_of(available)
    assert ValueTable.from_columns(3, table.to_columns()).cells == table.cells


@given(available=patterns(3, max_rows=12))
def test_efficiency_holds_in_every_pattern(available: Bools) -> None:
    table = table_of(available)
    for pattern, phi in pattern_index(table, 0.3).items():
        game = table.game(pattern, 0.3)
        assert game is not None
        assert sum(phi.values()) == pytest.approx(game[pattern] - 0.3)


@given(available=patterns(3, max_rows=12))
def test_contributions_are_means_over_the_rows_that_hold_the_modality(available: Bools) -> None:
    table = table_of(available)
    found = contributions(table, NAMES, 0.3)
    for bit, name in enumerate(NAMES):
        own = []
        for row in available:
            if row[bit]:
                pattern = sum(1 << m for m in range(3) if row[m])
                cells = {s: total / n for (e, s), (total, _, n) in table.cells.items() if e == pattern}
                own.append(shapley_by_orders(cells | {0: 0.3}, pattern)[bit])
        assert found[name] == (pytest.approx(sum(own) / len(own)) if own else None)


def test_what_nobody_holds_is_undefined_not_zero() -> None:
    table = table_of(rows_of([3, 1, 1], 3))
    found = contributions(table, NAMES, 0.0)
    assert found["c"] is None
    assert found["a"] is not None
    pairs = pooled_interactions(table, NAMES, 0.0)
    assert set(pairs) == {"a+b", "a+c", "b+c"}
    assert pairs["a+c"] is pairs["b+c"] is None
    assert contributions(ValueTable(3), NAMES, 0.0) == dict.fromkeys(NAMES)


def test_a_game_with_a_subset_that_was_not_scored_is_undefined() -> None:
    table = constant_table(WORTH, {3: 2, 1: 1})
    del table.cells[3, 2]
    assert table.game(3, 0.0) is None
    assert pattern_index(table, 0.0).keys() == {1}
    assert contributions(table, NAMES, 0.0)["b"] is None


@given(many=st.integers(1, 60), few=st.integers(1, 3))
def test_a_rare_pattern_is_worth_the_same_however_rare_it_is(many: int, few: int) -> None:
    usual = pattern_index(constant_table(WORTH, {7: 5, 1: 5}), 0.1)
    rare = pattern_index(constant_table(WORTH, {7: few, 1: many}), 0.1)
    assert rare[7] == pytest.approx(usual[7])
    assert rare[1] == pytest.approx(usual[1])


def test_interactions_are_pooled_over_the_patterns_that_hold_both() -> None:
    found = pooled_interactions(constant_table(WORTH, {3: 3, 7: 1}), NAMES, 0.1)
    in_three = WORTH[3] - WORTH[1] - WORTH[2] + 0.1
    in_seven = (in_three + WORTH[7] - WORTH[5] - WORTH[6] + WORTH[4]) / 2
    assert found["a+b"] == pytest.approx((3 * in_three + in_seven) / 4)


def test_a_table_that_travels_keeps_sums_squares_and_rows_apart() -> None:
    table = constant_table(WORTH, {7: 2, 3: 5, 4: 1})
    there = ValueTable.from_columns(3, table.to_columns())
    assert there.cells == table.cells
    assert there.cells[3, 1] == [pytest.approx(5 * 0.5), pytest.approx(5 * 0.25), 5.0]


def test_a_table_with_columns_of_unequal_length_is_refused() -> None:
    columns = constant_table(WORTH, {3: 5}).to_columns()
    with pytest.raises(ValueError, match="shorter"):
        ValueTable.from_columns(3, columns | {"rows": columns["rows"][:-1]})
