"""Every row plays its own game: exact and sampled plans, share tables, and tallies of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import (
    INDICES,
    ShareTable,
    Tally,
    ValueTable,
    contributions,
    is_exact,
    phi_bound,
    plan_rows,
    pooled_tally,
    size_counts,
    standardised,
    tells_patterns,
)
from fedmce.contributions.exact import empty_weight
from fedmce.errors import ConfigError
from fedmce.subsets import members
from tests.oracles.worlds import Bools, patterns, rows_of

NAMES = tuple("abc")


def config_of(**fields: object) -> ContributionsConfig:
    return ContributionsConfig.model_validate(fields)


def worth(row: np.ndarray, subset: np.ndarray, modalities: int, seed: int = 0) -> np.ndarray:
    """A value for each (row, subset), a function of both; of several modalities together, not linear."""
    numbers = np.random.default_rng(seed)
    skill = numbers.uniform(0.05, 0.6, (1 + int(row.max(initial=0)), modalities))
    inside = members(subset, modalities)
    value: np.ndarray = 1 - np.exp(-np.where(inside, skill[row], 0).sum(axis=1)) - 0.2 * inside[:, 0] * inside[:, -1]
    return value


@given(available=patterns(4, max_rows=9), index=st.sampled_from(sorted(INDICES)), empty=st.floats(-1, 1))
def test_exact_shares_are_the_rows_own_values_summed_by_hand(available: Bools, index: str, empty: float) -> None:
    # the skills of a row must not depend on how many rows there are
    plan = plan_rows(available, config_of(index=index), np.random.default_rng(0))
    rows = np.append(plan.row, len(available) - 1)
    table = plan.shares(worth(rows, np.append(plan.subset, 1), 4)[:-1])
    expected: dict[tuple[int, int], list[float]] = {}
    for row in range(len(available)):
        skills = worth_rows(available, row, index, empty)
        for bit, phi in skills.items():
            cell = expected.setdefault((bit, int(available[row].sum())), [0.0, 0.0, 0.0])
            for at, number in enumerate((phi, phi * phi, 1)):
                cell[at] += number
    assert table.cells.keys() == expected.keys()
    for key, cell in expected.items():
        assert table.moments(key, empty) == pytest.approx(tuple(cell), abs=1e-9)


def worth_rows(available: Bools, row: int, index: str, empty: float) -> dict[int, float]:
    pattern = sum(1 << m for m in range(4) if available[row, m])
    codes = np.array([c for c in range(1, pattern + 1) if c & ~pattern == 0])
    rows = np.append(np.full(len(codes), row), len(available) - 1)
    values = worth(rows, np.append(codes, 1), 4)[:-1]
    return INDICES[index](dict(zip(codes.tolist(), values.tolist(), strict=True)) | {0: empty}, pattern)


@given(available=patterns(3, max_rows=12), empty=st.floats(-1, 1), index=st.sampled_from(sorted(INDICES)))
def test_shares_and_values_of_the_same_rows_tell_the_same_contributions(
    available: Bools, empty: float, index: str
) -> None:
    plan = plan_rows(available, config_of(index=index), np.random.default_rng(0))
    value = worth(plan.row, plan.subset, 3)
    table = ValueTable(3)
    codes = (available << np.arange(3)).sum(axis=1)
    table.add(codes[plan.row], plan.subset, value)
    found, expected = plan.shares(value).means(NAMES, empty), contributions(table, NAMES, empty, index)
    assert found == {m: None if v is None else pytest.approx(v, abs=1e-9) for m, v in expected.items()}


def test_the_standard_error_is_that_of_a_mean_over_rows() -> None:
    table = ShareTable()
    phi = np.array([0.5, 0.1, 0.3, -0.2])
    table.add(np.zeros((4, 1), dtype=np.int64), phi[:, None])
    table.add(np.array([[1, 2]]), np.array([[0.25, 0.5]]))
    found = table.standard_errors(NAMES, 0.1)
    assert found["a"] == pytest.approx(phi.std(ddof=1) / 2)
    assert found["b"] is None  # one row has no spread
    assert table.means(NAMES, 0.1)["b"] == pytest.approx(0.25 - 0.1 / 2)
    assert ShareTable().standard_errors(NAMES, 0.0) == dict.fromkeys(NAMES)


def test_the_standard_error_covers_the_contribution_of_many_more_rows() -> None:
    hits = 0
    for seed in range(300):
        numbers = np.random.default_rng(seed)
        available = np.ones((60, 3), dtype=bool)
        plan = plan_rows(available, config_of(), numbers)
        right = numbers.random(len(plan.row)) < 0.3 + 0.2 * members(plan.subset, 3).sum(axis=1)
        shares = plan.shares(right.astype(float))
        mean, error = shares.means(NAMES, 0.3)["a"], shares.standard_errors(NAMES, 0.3)["a"]
        assert None not in (mean, error)
        hits += abs(mean - 0.2) <= 2.0 * error
    assert hits / 300 >= 0.9


SAMPLED = [("shapley", "antithetic"), ("shapley", "stratified"), ("shapley", "kernel"), ("banzhaf", "antithetic")]


@pytest.mark.parametrize(("index", "estimator"), SAMPLED)
@pytest.mark.parametrize("held", [0b1111111111, 0b1011110111])
def test_sampled_rows_are_unbiased(index: str, estimator: str, held: int) -> None:
    """The same row many times over: the mean of its estimates is its exact value within four errors."""
    copies, size = 4000, held.bit_count()
    available = np.repeat(members(np.array([held]), 10), copies, axis=0)
    plan = plan_rows(available, config_of(index=index, estimator=estimator, budget=20), np.random.default_rng(1))
    value = worth(np.zeros_like(plan.row), plan.subset, 10)
    table = plan.shares(value)
    codes = np.array([c for c in range(1, held + 1) if c & ~held == 0])
    exact_values = dict(zip(codes.tolist(), worth(np.zeros_like(codes), codes, 10).tolist(), strict=True))
    exact = INDICES[index](exact_values | {0: 0.3}, held)
    names = [str(m) for m in range(10)]
    means, errors = table.means(names, 0.3), table.standard_errors(names, 0.3)
    for bit, phi in exact.items():
        mean, error = means[str(bit)], errors[str(bit)]
        assert None not in (mean, error)
        assert abs(mean - phi) <= 4 * error + 1e-12
        assert table.cells[bit, size][2] == copies
    assert all(means[str(m)] is None for m in range(10) if not held >> m & 1)


@pytest.mark.parametrize("estimator", ["antithetic", "stratified", "kernel"])
@given(seed=st.integers(0, 99))
def test_a_row_s_estimates_add_up_to_what_it_wins(estimator: str, seed: int) -> None:
    available = np.random.default_rng(seed).random((6, 12)) < 0.9
    available[:, 0] = True
    config = config_of(estimator=estimator, budget=30)
    plan = plan_rows(available, config, np.random.default_rng(seed))
    table = plan.shares(worth(plan.row, plan.subset, 12))
    full = worth(np.arange(6), (available.astype(np.int64) << np.arange(12)).sum(axis=1), 12)
    assert sum(cell[0] for cell in table.cells.values()) == pytest.approx(full.sum())


@pytest.mark.parametrize("estimator", ["auto", "stratified", "kernel"])
@pytest.mark.parametrize("index", sorted(INDICES))
def test_plans_stay_within_budget_and_within_what_a_row_holds(estimator: str, index: str) -> None:
    available = np.random.default_rng(0).random((40, 32)) < 0.5
    available[0] = True
    available[1] = False
    plan = plan_rows(available, config_of(estimator=estimator, index=index, budget=64), np.random.default_rng(0))
    assert (np.diff(plan.row) >= 0).all()
    assert 1 not in plan.row
    inside = members(plan.subset, 32)
    assert inside.any(axis=1).all()
    assert not (inside & ~available[plan.row]).any()
    counts = np.bincount(plan.row, minlength=40)
    assert counts.max() <= 65
    full = np.all(inside == available[plan.row], axis=1)
    assert set(plan.row[full]) == set(plan.row)


@pytest.mark.parametrize("estimator", ["antithetic", "stratified", "kernel"])
def test_no_row_reaches_beyond_the_bound_that_the_gate_allows(estimator: str) -> None:
    config = config_of(estimator=estimator, budget=24)
    available = np.ones((200, 12), dtype=bool)
    plan = plan_rows(available, config, np.random.default_rng(0))
    value = np.random.default_rng(1).integers(0, 2, len(plan.row)).astype(float)
    for group in plan._groups:
        assert abs(group.design.read(value[group.pair]).mean(axis=1)).max() <= phi_bound(config, 12)
    assert phi_bound(config_of(), 3) == 1
    assert phi_bound(config_of(value="negative_squared_error"), 3) == 2


def test_a_sampled_site_is_held_against_others_of_equal_sizes_only() -> None:
    """Two sites of one sensor, on rows of other sizes: each has ratio one; a broken one has not."""
    tables = {}
    for site, size, gain in (("x", 1, 0.6), ("y", 2, 0.2), ("z", 2, 0.2), ("broken", 2, 0.02)):
        table = ShareTable()
        table.add(np.tile(np.arange(size), (5, 1)), np.full((5, size), gain))
        tables[site] = Tally(table)
    found = standardised(tables, pooled_tally(tables), NAMES, 0.0)
    assert found["x"]["a"][0] == pytest.approx(found["x"]["a"][1])
    assert found["y"]["a"] == pytest.approx((1.0, 5 * (0.2 + 0.2 + 0.02) / 3))
    assert found["broken"]["b"][0] < 0.2 * found["broken"]["b"][1]
    assert "b" not in found["x"]
    assert all("c" not in of_site for of_site in found.values())


def test_sizes_count_the_rows_that_hold_a_modality() -> None:
    assert size_counts(rows_of([7, 3, 3, 1], 3)) == {
        (0, 3): 1, (1, 3): 1, (2, 3): 1, (0, 2): 2, (1, 2): 2, (0, 1): 1
    }  # fmt: skip


@given(first=patterns(3), second=patterns(3))
def test_tallies_add_up_and_travel(first: Bools, second: Bools) -> None:
    both = np.concatenate([first, second])
    tables = []
    for rows, seed in ((first, 0), (second, len(first)), (both, 0)):
        plan = plan_rows(rows, config_of(), np.random.default_rng(0))
        tables.append(plan.shares((plan.row + seed + plan.subset) % 2 * 1.0))
    added = tables[0] + tables[1]
    assert added.cells.keys() == tables[2].cells.keys()
    for key, cell in added.cells.items():
        assert cell == pytest.approx(tables[2].cells[key])
    assert ShareTable.from_columns("shapley", added.to_columns()).cells == added.cells


def test_what_does_not_belong_together_is_not_added() -> None:
    with pytest.raises(ValueError, match="shapley and banzhaf"):
        ShareTable() + ShareTable("banzhaf")
    with pytest.raises(ValueError, match="exact and a sampled"):
        Tally(ShareTable()) + Tally(ShareTable(), ValueTable(2))


def test_the_choice_of_estimator_follows_the_number_of_modalities() -> None:
    assert is_exact(config_of(), 8)
    assert not is_exact(config_of(), 9)
    assert is_exact(config_of(estimator="exact"), 12)
    assert tells_patterns(config_of(), 8)
    assert tells_patterns(config_of(estimator="kernel"), 8)
    assert not tells_patterns(config_of(), 9)
    with pytest.raises(ConfigError, match="exact takes up to 12"):
        is_exact(config_of(estimator="exact"), 13)
    with pytest.raises(ConfigError, match="antithetic needs at least 62"):
        is_exact(config_of(budget=60), 32)
    assert not is_exact(config_of(budget=60, estimator="stratified"), 32)
    assert not is_exact(config_of(budget=4, estimator="antithetic"), 2)  # two modalities are enumerated


@pytest.mark.parametrize(("index", "weights"), [("shapley", (1, 1 / 2, 1 / 3)), ("banzhaf", (1, 1 / 2, 1 / 4))])
def test_nothing_weighs_what_the_index_gives_it(index: str, weights: tuple[float, ...]) -> None:
    assert [empty_weight(index, n) for n in (1, 2, 3)] == pytest.approx(weights)
    assert [empty_weight("leave_one_out", n) for n in (1, 2, 3)] == [1, 0, 0]
