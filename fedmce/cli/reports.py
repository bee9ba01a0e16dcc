"""``fedmce report``: draw again from records, and put several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from fedmce.errors import DataError


def draw_all(runs: Sequence[Path], out: Path | None) -> None:
    """Draw every run into its own folder, compare them if asked, and print the path of each page.

    Args:
        runs: run folders.
        out: ``.html`` file, or folder, of one page that compares the runs; None: no such page.

    Raises:
        DataError: a run folder has no readable record, or the runs cannot be compared.
    """
    missing = [str(run) for run in runs if not (run / "record.jsonl").is_file()]
    if missing:
        raise DataError(f"report: no record.jsonl in {', '.join(missing)}; needed folders of runs")
    from fedmce.report import compare, draw

    for run in runs:
        typer.echo(draw(run))
    if out is not None:
        typer.echo(compare(list(runs), out))
