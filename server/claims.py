"""What a site may claim of the contributions of its modalities: tables held against its profile.

A site can still lie within these bounds; only ``contributions.source=server`` asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import ShareTable, Tally, ValueTable, is_exact, phi_bound, value_bounds
from fedmce.subsets import subsets_of
from server.roster import RowCounts

SLACK = 1e-6  # per row: what rounding can do to a sum of values


class Claim(ValueError):  # noqa: N818 - what is wrong with it, not an error of the program
    """A claim that the profile or the value function rules out."""


def read_tally(
    columns: Mapping[str, Any],
    config: ContributionsConfig,
    measured: RowCounts,
    modalities: int,
    rounding: float = 0.0,
) -> Tally:
    """Check the columns ``value.*`` and ``share.*`` of a reply.

    Args:
        columns: of the report.
        config: value function, index, estimator.
        measured: rows that the site measures on, from its profile.
        modalities: of the data set.
        rounding: how far the site may have rounded what a row adds to a sum.

    Raises:
        Claim: another layout, other rows than the profile has, or sums that no values can have.
    """
    shares = ShareTable.from_columns(config.index, _columns(columns, "share", ("modality", "size", "rows")))
    _check_shares(shares, config, measured, len(columns.get("share.rows", [])), rounding)
    if not is_exact(config, modalities):
        if any(key.startswith("value.") for key in columns):
            raise Claim("a value table where subsets are sampled")
        return Tally(shares)
    values = ValueTable.from_columns(modalities, _columns(columns, "value", ("pattern", "subset", "rows")))
    _check_values(values, config, measured.patterns or {}, len(columns.get("value.rows", [])), rounding)
    return Tally(shares, values)


def _columns(columns: Mapping[str, Any], table: str, whole: tuple[str, ...]) -> dict[str, Any]:
    names = (*whole[:2], "total", "square", "rows")
    found: dict[str, Any] = {name: columns.get(f"{table}.{name}", []) for name in names}
    if any(not isinstance(column, list) for column in found.values()):
        raise Claim(f"a column of the {table} table is not a list")
    if len({len(column) for column in found.values()}) != 1:
        raise Claim(f"columns of the {table} table differ in length")
    if any(type(number) is not int for name in whole for number in found[name]):
        raise Claim(f"{', '.join(whole)} of the {table} table must be integers")
    if any(type(number) not in (int, float) for name in ("total", "square") for number in found[name]):
        raise Claim(f"sums of the {table} table must be numbers")
    return found


def _check_values(
    table: ValueTable, config: ContributionsConfig, patterns: Mapping[int, int], length: int, rounding: float
) -> None:
    cells = {(e, s) for e in patterns for s in subsets_of(e)}
    if set(table.cells) != cells or length != len(cells):
        raise Claim("the value table does not cover the patterns of the profile")
    low, high = value_bounds(config.value)
    for (pattern, _), (total, square, rows) in table.cells.items():
        slack = rounding * rows + (0.0 if config.value == "accuracy" else SLACK * rows)
        # (v - low) (high - v) >= 0 for every row bounds the squares from above.
        most = (low + high) * total - rows * low * high
        if rows != patterns[pattern] or not (
            rows * low - slack <= total <= rows * high + slack and -slack <= square <= most + slack
        ):
            raise Claim(f"value sums {total!r}, {square!r} of {rows!r} rows; the profile has {patterns[pattern]}")
    _check_spread("value", table.cells, rounding * max(abs(low), abs(high), 1.0))


def _check_shares(
    table: ShareTable, config: ContributionsConfig, measured: RowCounts, length: int, rounding: float
) -> None:
    if set(table.cells) != set(measured.sizes) or length != len(measured.sizes):
        raise Claim("the share table does not cover the rows of the profile")
    for key, (total, square, rows) in table.cells.items():
        bound, slack = phi_bound(config, key[1]), (SLACK + rounding) * rows
        if rows != measured.sizes[key] or not (
            abs(total) <= rows * bound + slack and -slack <= square <= rows * bound**2 + slack
        ):
            raise Claim(f"share sums {total!r}, {square!r} of {rows!r} rows; the profile has {measured.sizes[key]}")
    largest = max((phi_bound(config, size) for _, size in table.cells), default=1.0)
    _check_spread("share", table.cells, rounding * max(largest, 1.0))


def _check_spread(name: str, cells: Mapping[tuple[int, int], list[float]], rounding: float) -> None:
    """Cauchy and Schwarz: no rows have a smaller sum of squares than equal ones."""
    slack = SLACK + 4 * rounding  # a rounded total counts twice in its square, the rounded squares once
    for total, square, rows in cells.values():
        if not (np.isfinite([total, square]).all() and total**2 <= rows * square + slack * rows**2):
            raise Claim(f"{name} sums {total!r}, {square!r} of {rows!r} rows cannot belong together")
