"""The tidy table: one line per score, from the records of the compared cells."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Line:
    """One number of one run. ``subset`` and ``site`` are empty for numbers over all of them.

    ``metric`` of a score by subset is the task's own (``accuracy``), of a summary its name (``mean_subset``).
    """

    study: str
    setting: str
    method: str
    seed: int
    subset: str
    site: str
    metric: str
    value: float | None
    dataset: str = ""
    protocol: str = ""
    x: float | None = None


Score = tuple[str, str, str, float | None]
"""Subset, site, metric, value."""


def scores(record: Mapping[str, Any], rare: str | None = None) -> Iterator[Score]:
    """Every number of a run as (subset, site, metric, value).

    Args:
        record: of a cell (:func:`fedmce.study.compact.compact`).
        rare: subset whose score is repeated as the metric ``rare``.
    """
    metrics, task = record["metrics"], record["metric"]
    if rare is not None:
        yield "", "", "rare", metrics["per_subset"].get(rare)
    sites = set(record.get("sites", ()))
    yield from _walk(metrics, task, "", sites)
    if metrics.get("validation"):
        yield from _walk(metrics["validation"], task, "validation.", sites)
    if metrics.get("completed"):
        yield from _walk(metrics["completed"], task, "completed.", sites)
    for way, value in record["bytes"].items():
        yield "", "", way, float(value)
    yield "", "", "seconds", float(record["seconds"]["total_s"])


def _walk(tree: Mapping[str, Any], task: str, prefix: str, sites: set[str]) -> Iterator[Score]:
    """Scores of a block; what a later version adds is found by its shape."""
    for key, value in tree.items():
        if key in ("validation", "completed", "rows", "use"):
            continue
        if key == "per_subset":
            yield from ((subset, "", prefix + task, score) for subset, score in value.items())
        elif key == "per_site":
            yield from _by_site(value, prefix + task)
        elif key == "secondary":
            for name, table in value.items():
                yield from ((subset, "", prefix + name, score) for subset, score in table.items())
        elif _is_number(value):
            yield "", "", prefix + key, value
        elif isinstance(value, dict):
            yield from _named(value, prefix + key, set(tree.get("per_subset", {})), sites)


def _named(table: Mapping[str, Any], name: str, subsets: set[str], sites: set[str]) -> Iterator[Score]:
    """A table by subset, by site, by site and subset, or of named numbers."""
    keys = set(table)
    if keys and keys <= sites:
        for site, value in table.items():
            if isinstance(value, dict):
                yield from ((subset, site, name, score) for subset, score in value.items() if _is_number(score))
            elif _is_number(value):
                yield "", site, name, value
    elif keys and keys <= subsets:
        yield from ((subset, "", name, score) for subset, score in table.items() if _is_number(score))
    else:
        yield from (("", "", f"{name}.{key}", value) for key, value in table.items() if _is_number(value))


def _by_site(table: Mapping[str, Mapping[str, float | None]], name: str) -> Iterator[Score]:
    return ((subset, site, name, score) for site, row in table.items() for subset, score in row.items())


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def write_csv(path: Path, rows: Sequence[Any], kind: type[Any]) -> None:
    """Write dataclass rows; None is an empty cell. The file is whole or not there."""
    names = [field.name for field in fields(kind)]
    draft = path.with_name(path.name + ".part")
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    draft.replace(path)


def write_parquet(path: Path, rows: Iterable[Line]) -> None:
    """Write the tidy table as Parquet with the same columns as the CSV file; None is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"seed": pa.int64(), "value": pa.float64(), "x": pa.float64()}
    schema = pa.schema([(field.name, kinds.get(field.name, pa.string())) for field in fields(Line)])
    draft = path.with_name(path.name + ".part")
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), draft)
    draft.replace(path)
