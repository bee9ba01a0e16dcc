"""With many modalities: the mean over the scored subsets of each size, in place of every subset by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedmce.subsets import LISTED

Table = dict[str, float | None]


def is_many(modalities: Sequence[str]) -> bool:
    """More modalities than whose subsets are all scored; a figure shows sizes then."""
    return len(modalities) > LISTED


def label(size: int, modalities: Sequence[str]) -> str:
    """What the subsets of one size are called."""
    return f"{size} of {len(modalities)}"


def with_sizes(table: Mapping[str, float | None], modalities: Sequence[str]) -> Table:
    """The table by subset, and beside it the mean over the subsets of each size that has a score."""
    found = dict(table)
    if not is_many(modalities):
        return found
    by_size: dict[int, list[float]] = {}
    for name, value in table.items():
        if value is not None and " of " not in name:
            by_size.setdefault(name.count("+") + 1, []).append(value)
    return found | {label(size, modalities): sum(known) / len(known) for size, known in by_size.items()}


def row_with_sizes(row: dict[str, Any], modalities: Sequence[str]) -> dict[str, Any]:
    """An evaluation whose tables by subset also have sizes; counts of rows have none."""
    if not is_many(modalities):
        return row
    found = row | {"per_subset": with_sizes(row["per_subset"], modalities)}
    for key in ("per_site", "secondary"):
        found[key] = {name: with_sizes(table, modalities) for name, table in (row.get(key) or {}).items()}
    found["secondary_per_site"] = {
        metric: {site: with_sizes(table, modalities) for site, table in tables.items()}
        for metric, tables in (row.get("secondary_per_site") or {}).items()
    }
    return found | {"rows": {}}
