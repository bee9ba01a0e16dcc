"""Ablation of MCE: every choice against the reference, tuned, on paired seeds::

    python -m benchmarks.ablation --data-dir DIR             # run what is missing, about two hours on 2 cores
    python -m benchmarks.ablation --write docs/ablation.md   # write the tables of what is there

One cell is one run folder, ``<out>/<data set>/<arm>/lr<step>-seed<seed>``. A finished one is never run
again, so the command goes on where it stopped; tables are made from these folders alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.ablation_table import READING, document
from benchmarks.arms import ARMS, SETTINGS, Arm
from benchmarks.cells import Cell, CellResult, note_failure, run_cell, settled_cells
from benchmarks.plan import open_cells, outlook
from simulations.study.pool import Failure, work_off

Say = Callable[[str, int], None]
SHORTER = ("rounds=20", "evaluate_every=20")  # as docs/ablation.md was made; scored once, at the end


def run_missing(
    arms: Sequence[Arm],
    settings: Sequence[str],
    out: Path,
    data_dir: str,
    extra: tuple[str, ...],
    jobs: int,
    until: float,
) -> list[str]:
    """Run what is missing of some arms on some data sets; a cell that fails loses only itself.

    Args:
        arms: what to run.
        settings: names of the data sets to run it on.
        out: folder of the ablation.
        data_dir: folder of the downloaded data sets.
        extra: overrides for all cells.
        jobs: worker processes.
        until: ``time.monotonic()`` after which no cell is started.

    Returns:
        Keys of the cells that failed.
    """
    # What failed before is tried again.
    settled = {cell: r.plain.validation for cell, r in settled_cells(out, extra).items() if r is not None}
    failed: list[str] = []
    with _progress(outlook(arms, settings, settled)) as say:

        def settle(cell: Cell, outcome: CellResult | Failure) -> None:
            if isinstance(outcome, Failure):
                failed.append(cell.key)
                note_failure(cell, out, outcome.reason)
                settled[cell] = None
                told = f"failed: {outcome.reason}"
            else:
                settled[cell] = outcome.plain.validation
                told = f"{_shown(outcome.plain.mean_subset)} ({outcome.seconds:.0f} s)"
            say(f"{cell.key}: {told}", outlook(arms, settings, settled))

        work_off(
            lambda: open_cells(arms, settings, settled) if time.monotonic() < until else [],
            partial(run_cell, out=out, data_dir=data_dir, extra=extra),
            settle,
            jobs,
        )
    return failed


def _shown(score: float | None) -> str:
    return "no score" if score is None else f"{score:.3f}"


@contextmanager
def _progress(total: int) -> Iterator[Say]:
    """Call with a line and the number of cells left: a bar on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("cells"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=600) as bar:
        task, done = bar.add_task("cells", total=total), 0

        def say(line: str, left: int) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, total=done + left)
            console.print(line if console.is_terminal else f"[{done}/{done + left}] {line}")

        yield say


def _names(given: str | None, known: Sequence[str], parser: argparse.ArgumentParser, what: str) -> list[str]:
    if given is None:
        return list(known)
    chosen = given.split(",")
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"{what}: given {', '.join(unknown)}; known: {', '.join(known)}")
    return chosen


def main() -> int:
    """Run, write, or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="run what is missing, with data from here")
    parser.add_argument("--write", type=Path, help="write the tables of what is there")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the run folders")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes, one thread each")
    parser.add_argument("--only", help="arms to run, separated by commas")
    parser.add_argument("--datasets", help="data sets to run, separated by commas")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no cell after so many")
    shorter = f"overrides for all cells; default {' '.join(SHORTER)}"
    parser.add_argument("--set", nargs="*", default=SHORTER, dest="extra", help=shorter)
    args = parser.parse_args()
    if args.data_dir is None and args.write is None:
        parser.error("nothing to do: give --data-dir, --write or both")
    arms = _names(args.only, [arm.name for arm in ARMS], parser, "--only")
    settings = _names(args.datasets, [setting.name for setting in SETTINGS], parser, "--datasets")
    failed: list[str] = []
    if args.data_dir is not None:
        from fedmce.cli.run import sigterm_as_interrupt

        chosen = [arm for arm in ARMS if arm.name in arms]
        until = time.monotonic() + 60 * args.minutes
        try:
            with sigterm_as_interrupt():
                failed = run_missing(
                    chosen, settings, args.out, args.data_dir, tuple(args.extra), max(1, args.jobs), until
                )
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
        if failed:
            print(f"{len(failed)} cells failed; the same command tries them again", file=sys.stderr)
    if args.write is not None:
        reading = args.write.with_name(READING)
        text = reading.read_text(encoding="utf-8") if reading.exists() else ""
        args.write.write_text(document(settled_cells(args.out, tuple(args.extra)), text), encoding="utf-8")
        print(f"written to {args.write}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
