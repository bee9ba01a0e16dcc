"""``python -m benchmarks.faults``: the figures G1 to G23 of the fault suite, misses included.

Names measure some: ``python -m benchmarks.faults G1 G8``. What long runs left is read from ``--results`` and
``--deployed``; what nobody measured is called so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from glob import glob
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from benchmarks.faults.row import Row, markdown

NUMBERS = tuple(f"G{number}" for number in range(1, 24))
COLOURS = {"reached": "green", "missed": "red", "in part": "yellow", "not measured": "dim"}


def measure(wanted: Sequence[str], long: bool, results: str, deployed: Path, console: Console) -> list[Row]:
    """The wanted rows, in the order of their numbers; a figure whose measuring fails is a miss, not an end."""
    from benchmarks.faults import later, now
    from benchmarks.faults.results import read_results

    runs = [read_results(Path(path)) for path in sorted(glob(results))]
    if long:
        now.FUZZED, now.KILLS = 10_000, 300
    ways = dict(now.QUICK) | {
        "G4": lambda: now.fuzz(now.FUZZED),
        "G5": lambda: now.kills(now.KILLS),
        "G12 G13": lambda: later.folders(long),
        "G19": lambda: later.soak(long),
        "G14": lambda: later.canaries(runs, long),
        "G7 G10 G15 G23": lambda: later.from_suite(runs),
        "G21": lambda: later.deployed(deployed),
    }
    rows: list[Row] = []
    for names, way in ways.items():
        if not set(names.split()) & set(wanted):
            continue
        with console.status(f"{names} ..."):
            try:
                rows += way()
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:200]
                rows += [Row(name, "", "", said, "failed while it was measured", "missed") for name in names.split()]
    return sorted((row for row in rows if row.number in wanted), key=lambda row: NUMBERS.index(row.number))


def shown(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table("#", "figure", "goal", "reached", "measured how", "verdict", header_style="bold")
    for row in rows:
        colour = COLOURS[row.verdict]
        table.add_row(row.number, row.what, row.goal, row.reached, row.how, f"[{colour}]{row.verdict}[/]")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("figures", nargs="*", help="such as G1 G8; all if left out")
    parser.add_argument(
        "--long", action="store_true", help="also the soak, 10,000 fuzzed replies, 300 kills, a gigabyte of dumps"
    )
    parser.add_argument("--results", default="runs/faults*.xml", help="XML of runs of the fault suite (glob)")
    parser.add_argument("--deployed", type=Path, default=Path("runs/deployed_rounds.json"), help="of deployed_rounds")
    parser.add_argument("--out", type=Path, help="write the table as markdown, too")
    told = parser.parse_args(arguments)
    if unknown := sorted(set(told.figures) - set(NUMBERS)):
        parser.error(f"given {' '.join(unknown)}; there are {NUMBERS[0]} to {NUMBERS[-1]}")
    console = Console()
    rows = measure(told.figures or NUMBERS, told.long, told.results, told.deployed, console)
    console.print(shown(rows))
    if told.out is not None:
        told.out.write_text(markdown(rows), encoding="utf-8")
        console.print(f"written to {told.out}")
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
