"""Writes the tables of a study: ``table.csv``, ``table.parquet``, ``comparisons.csv``, ``tuning.csv``, ``summary.md``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fedmce.study.bars import Verdict, verdicts
from fedmce.study.cell import shown
from fedmce.study.compare import Comparison, comparisons
from fedmce.study.pairing import Mismatch, mismatches
from fedmce.study.results import Results
from fedmce.study.summary import summary
from fedmce.study.table import Line, write_csv, write_parquet


@dataclass(frozen=True)
class Tried:
    """A combination of values that the choice looked at."""

    setting: str
    method: str
    values: str
    validation: float | None
    chosen: bool


@dataclass(frozen=True)
class Findings:
    """What follows from the results; what tables and figures show."""

    comparisons: list[Comparison]
    bars: list[Verdict]
    unpaired: list[Mismatch]


def findings(results: Results) -> Findings:
    """Compare, judge, and list what is no pair."""
    unpaired = mismatches(results)
    return Findings(comparisons(results, unpaired), verdicts(results, unpaired), unpaired)


def write_tables(folder: Path, results: Results, found: Findings) -> None:
    """Write all tables, each whole or not at all."""
    lines = results.lines()
    write_csv(folder / "table.csv", lines, Line)
    write_parquet(folder / "table.parquet", lines)
    write_csv(folder / "comparisons.csv", found.comparisons, Comparison)
    write_csv(folder / "bars.csv", found.bars, Verdict)
    write_csv(folder / "tuning.csv", tried(results), Tried)
    text = summary(results, found.comparisons, found.bars, found.unpaired)
    draft = folder / "summary.md.part"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, folder / "summary.md")


def tried(results: Results) -> list[Tried]:
    """All combinations with their validation scores."""
    return [
        Tried(setting, method, shown(values), score, values == choice.values)
        for (method, setting), choice in results.choices.items()
        for values, score in choice.scores
    ]
