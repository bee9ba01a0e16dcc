"""Pattern-standardised contributions: sites beside all holders on the same patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.contributions import ValueTable, contributions, pooled, standardised_sums
from fedmce.objectives.pairs import all_pairs
from tests.contributions.test_tables import NAMES, WORTH, constant_table, table_of
from tests.oracles.worlds import Bools, patterns, rows_of

COUNTS = st.dictionaries(st.integers(1, 7), st.integers(1, 9), min_size=1)


def ratios(tables: dict[str, ValueTable], empty_value: float = 0.1) -> dict[str, dict[str, float]]:
    sums = standardised_sums(tables, pooled(tables, 3), NAMES, empty_value)
    return {site: {m: own / expected for m, (own, expected) in of_site.items()} for site, of_site in sums.items()}


@given(counts=COUNTS)
def test_equal_sites_have_ratio_one(counts: dict[int, int]) -> None:
    tables = {site: constant_table(WORTH, counts) for site in "xyz"}
    held = {name for bit, name in enumerate(NAMES) if any(e >> bit & 1 for e in counts)}
    for of_site in ratios(tables).values():
        assert of_site == {name: pytest.approx(1.0) for name in held}


@given(first=COUNTS, second=COUNTS)
def test_sites_of_equal_sensors_have_ratio_one_whatever_their_patterns(
    first: dict[int, int], second: dict[int, int]
) -> None:
    """The raw contribution differs: it is small where a stronger modality sits beside it."""
    found = ratios({"x": constant_table(WORTH, first), "y": constant_table(WORTH, second)})
    assert all(ratio == pytest.approx(1.0) for of_site in found.values() for ratio in of_site.values())


def test_the_raw_contribution_measures_the_pattern_and_the_ratio_does_not() -> None:
    tables = {"alone": constant_table(WORTH, {1: 9}), "beside": constant_table(WORTH, {3: 9})}
    raw = {site: contributions(table, NAMES, 0.1)["a"] for site, table in tables.items()}
    assert raw["alone"] == pytest.approx(0.4) != raw["beside"]
    found = ratios(tables)
    assert found["alone"]["a"] == pytest.approx(found["beside"]["a"]) == pytest.approx(1.0)


@given(x=patterns(3, max_rows=10), y=patterns(3, max_rows=10))
def test_own_and_expected_add_up_to_the_same_over_sites(x: Bools, y: Bools) -> None:
    tables = {"x": table_of(x, 1), "y": table_of(y, 2)}
    sums = standardised_sums(tables, pooled(tables, 3), NAMES, 0.2)
    for name in NAMES:
        pairs = [of_site[name] for of_site in sums.values() if name in of_site]
        assert sum(own for own, _ in pairs) == pytest.approx(sum(expected for _, expected in pairs), abs=1e-9)


def test_a_broken_sensor_has_a_ratio_near_nothing_and_the_others_more_than_one() -> None:
    deaf = {s: WORTH[s & ~1] if s & ~1 else 0.1 for s in WORTH}
    tables = {site: constant_table(WORTH, {3: 8, 1: 4}) for site in "uvw"}
    found = ratios(tables | {"broken": constant_table(deaf, {3: 8, 1: 4})})
    assert found["broken"]["a"] == pytest.approx(0.0, abs=1e-12)
    assert found["u"]["a"] == pytest.approx(4 / 3)


def test_a_modality_that_a_site_lacks_has_no_entry() -> None:
    tables = {"x": constant_table(WORTH, {1: 3}), "y": constant_table(WORTH, {7: 3})}
    sums = standardised_sums(tables, pooled(tables, 3), NAMES, 0.0)
    assert sums["x"].keys() == {"a"}
    assert sums["y"].keys() == set(NAMES)


def test_sums_by_hand() -> None:
    """Two rows of a pattern {a}: right everywhere at x, nowhere at y."""
    tables = {}
    for site, value in (("x", 1.0), ("y", 0.0)):
        pairs = all_pairs(rows_of([1, 1], 3))
        tables[site] = ValueTable(3)
        tables[site].add(pairs.pattern, pairs.subset, np.full(2, value))
    sums = standardised_sums(tables, pooled(tables, 3), NAMES, 0.25)
    assert sums["x"]["a"] == pytest.approx((2 * 0.75, 2 * 0.25))
    assert sums["y"]["a"] == pytest.approx((2 * -0.25, 2 * 0.25))


def test_standardised_sums_are_of_the_index_that_is_asked_for() -> None:
    tables = {"x": constant_table(WORTH, {7: 4}), "y": constant_table(WORTH, {7: 2})}
    for index in ("shapley", "banzhaf", "leave_one_out"):
        own = standardised_sums(tables, pooled(tables, 3), NAMES, 0.1, index)["x"]["a"]
        alone = contributions(tables["x"], NAMES, 0.1, index)["a"]
        assert alone is not None
        assert own == (pytest.approx(4 * alone), pytest.approx(4 * alone))
