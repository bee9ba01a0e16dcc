"""Contributions of modalities over all patterns of a table, and of sites relative to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedmce.contributions.exact import INDICES, interactions
from fedmce.contributions.share_table import ShareTable
from fedmce.contributions.value_table import ValueTable

Sums = dict[str, dict[str, tuple[float, float]]]


def pattern_index(table: ValueTable, empty_value: float, index: str = "shapley") -> dict[int, dict[int, float]]:
    """Index per pattern whose game is complete: pattern -> modality bit -> phi."""
    found = {}
    for pattern in table.patterns():
        game = table.game(pattern, empty_value)
        if game is not None:
            found[pattern] = INDICES[index](game, pattern)
    return found


def contributions(
    table: ValueTable, modalities: Sequence[str], empty_value: float, index: str = "shapley"
) -> dict[str, float | None]:
    """Index per modality, pooled over patterns by rows that hold it; None where nobody does."""
    rows = table.patterns()
    phi = pattern_index(table, empty_value, index)
    found: dict[str, float | None] = {}
    for bit, name in enumerate(modalities):
        holding = [e for e in phi if e >> bit & 1]
        total = sum(rows[e] for e in holding)
        found[name] = sum(rows[e] * phi[e][bit] for e in holding) / total if total else None
    return found


def pooled_interactions(table: ValueTable, modalities: Sequence[str], empty_value: float) -> dict[str, float | None]:
    """Pairwise Shapley interaction ``a+b``, pooled over the patterns that hold both."""
    sums: dict[tuple[int, int], list[float]] = {}
    for pattern, rows in table.patterns().items():
        game = table.game(pattern, empty_value)
        if game is None:
            continue
        for pair, value in interactions(game, pattern).items():
            cell = sums.setdefault(pair, [0.0, 0.0])
            cell[0] += rows * value
            cell[1] += rows
    pairs = [(a, b) for a in range(len(modalities)) for b in range(a + 1, len(modalities))]
    found: dict[str, float | None] = {}
    for a, b in pairs:
        total, rows_held = sums.get((a, b), [0.0, 0.0])
        found[f"{modalities[a]}+{modalities[b]}"] = total / rows_held if rows_held else None
    return found


def standardised_sums(
    tables: Mapping[str, ValueTable],
    pool: ValueTable,
    modalities: Sequence[str],
    empty_value: float,
    index: str = "shapley",
) -> Sums:
    """What each site gets from a modality, beside what all holders get on the same patterns.

    For site k and modality m: (sum_e n_ke phi_m^k(e), sum_e n_ke phi_m^pool(e)) over the patterns e that
    hold m. Their ratio is q_km of method.md 4: 1 = as useful here as this modality usually is on such
    rows, near 0 = a broken sensor. The raw phi must not be compared between sites: it measures the
    pattern of missingness, not the sensor (method.md 5.5).

    Returns:
        site -> modality -> (own, expected), only for modalities that the site holds.
    """
    expected_phi = pattern_index(pool, empty_value, index)
    found: Sums = {}
    for site, table in tables.items():
        rows, own_phi = table.patterns(), pattern_index(table, empty_value, index)
        found[site] = {}
        for bit, name in enumerate(modalities):
            holding = [e for e in own_phi if e >> bit & 1 and e in expected_phi]
            if holding:
                own = sum(rows[e] * own_phi[e][bit] for e in holding)
                found[site][name] = (own, sum(rows[e] * expected_phi[e][bit] for e in holding))
    return found


def standardised_shares(
    tables: Mapping[str, ShareTable], pool: ShareTable, modalities: Sequence[str], empty_value: float
) -> Sums:
    """The same from share tables, beside what all holders get on rows that hold equally many modalities.

    Coarser than :func:`standardised_sums`: two rows of one size may hold other modalities beside m. With many
    modalities a pattern is nearly a row of its own, so patterns can neither be compared nor told.
    """
    found: Sums = {}
    for site, table in tables.items():
        found[site] = {}
        for bit, name in enumerate(modalities):
            cells = [key for key in sorted(table.cells) if key[0] == bit and table.cells[key][2] > 0]
            if cells:
                mine = [table.moments(key, empty_value) for key in cells]
                everyone = [pool.moments(key, empty_value) for key in cells]
                expected = sum(own[2] * all_[0] / all_[2] for own, all_ in zip(mine, everyone, strict=True))
                found[site][name] = (sum(own[0] for own in mine), expected)
    return found
