"""The matrix as tables on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fedmce.cli.summary import score

TITLES = {
    "as_available": "{metric} on test rows, each answered with what the mask leaves it",
    "mean_over_sites": "the same per site, mean over sites",
    "deployed": "mean over subsets, weighted by how often the mask leaves each (all rows that hold a subset are asked)",
}
PATTERNS = 16  # patterns that a table lists


def print_matrix(found: dict[str, Any]) -> None:
    """Print one table per measure, runs by mechanisms, and how often each mechanism leaves which pattern.

    Args:
        found: what :func:`fedmce.matrix.tree` returns.
    """
    width = None if sys.stdout.isatty() else 200
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    rows = found["rows"]
    labels = list(rows[0]["scores"])
    metrics = dict.fromkeys(row["scores"][labels[0]]["metric"] for row in rows)
    for measure, title in TITLES.items():
        console.print(title.format(metric=" and ".join(metrics)))
        console.print(_scores(rows, labels, measure))
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        if (hashes := tuple(scored["masks_sha256"] for scored in row["scores"].values())) in seen:
            continue  # runs of one data set and seed share their masks
        seen.add(hashes)
        console.print(f"share of test rows per pattern, run {Path(row['run']).name}")
        console.print(_patterns(row, labels))
    for text in dict.fromkeys(text for row in rows for text in row["caution"]):
        console.print(f"caution: {text}")


def _scores(rows: list[dict[str, Any]], labels: list[str], measure: str) -> Table:
    table = _table("run", "data set", "method", "trained under", "seed", numbers=labels)
    for row in rows:
        values = [score(row["scores"][label][measure]) for label in labels]
        known = [Path(row["run"]).name, row["dataset"], row["method"], row["trained_under"], str(row["seed"])]
        table.add_row(*known, *values)
    return table


def _patterns(row: dict[str, Any], labels: list[str]) -> Table:
    shares = {label: row["scores"][label]["shares"] for label in labels}
    most: dict[str, float] = {}
    for table_of in shares.values():
        for subset, share in table_of.items():
            most[subset] = max(share, most.get(subset, 0.0))
    listed = sorted(most, key=lambda subset: (-most[subset], subset))[:PATTERNS]
    table = _table("pattern", numbers=labels)
    for subset in sorted(listed, key=lambda name: (name.count("+"), name)):
        table.add_row(subset, *(f"{shares[label].get(subset, 0.0):.1%}" for label in labels))
    if len(most) > PATTERNS:
        rest = {label: sum(s for subset, s in shares[label].items() if subset not in listed) for label in labels}
        table.add_row(f"{len(most) - PATTERNS} others", *(f"{rest[label]:.1%}" for label in labels))
    return table


def _table(*words: str, numbers: list[str]) -> Table:
    table = Table(header_style="")
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
