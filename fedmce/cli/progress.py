"""Progress of a run on stderr: a bar on a terminal, one plain line per round elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from fedmce.cli.bearable import bearable_lines

Show = Callable[[dict[str, Any]], None]


@contextmanager
def progress(rounds: int, *, is_quiet: bool, stream: TextIO) -> Iterator[Show]:
    """Yield the function that takes each row of the record (docs/record.md).

    Args:
        rounds: how many the run will take.
        is_quiet: show nothing.
        stream: where to; decides by ``isatty`` between bar and lines.
    """
    if is_quiet:
        yield lambda row: None
    elif stream.isatty():
        with _bar(rounds, stream) as show:
            yield show
    else:
        yield _lines(rounds, stream)


class Tally:
    """What the rows said so far, in words."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self._split = ""
        self._score = ""
        self._start = time.monotonic()
        self._before = 0  # rounds that an earlier process has done

    def take(self, row: dict[str, Any]) -> None:
        """Remember the latest score; test rows count before validation rows."""
        if row["event"] in ("start", "resume"):
            self._start, self._before = time.monotonic(), row.get("round", 0)
        if row["event"] == "evaluation" and (row["split"] == "test" or self._split != "test"):
            score = row["mean_subset"]
            self._split = row["split"]
            known = "not defined" if score is None else f"{score:.3f}"
            self._score = f"mean-subset {row['metric']} {known} after round {row['round']}"

    @property
    def score(self) -> str:
        """The latest mean-subset score, or nothing."""
        return self._score

    def seconds_left(self, rounds_done: int) -> float:
        """At the mean pace of the rounds so far."""
        here = max(rounds_done - self._before, 1)
        return (time.monotonic() - self._start) / here * (self.rounds - rounds_done)


def refusals(row: dict[str, Any]) -> str:
    """Sites whose reply was set aside in this round, with the verdict; empty if none."""
    refused = {site: about["verdict"] for site, about in row["sites"].items() if about["verdict"] != "accepted"}
    told = ", ".join(f"{site} ({verdict})" for site, verdict in sorted(refused.items()))
    return ("void round. " if row.get("void") else "") + (f"set aside: {told}" if told else "")


def _lines(rounds: int, stream: TextIO) -> Show:
    tally = Tally(rounds)

    def show(row: dict[str, Any]) -> None:
        tally.take(row)
        for line in bearable_lines(row):
            stream.write(line + "\n")
        if row["event"] == "round":
            left = f"{tally.seconds_left(row['round']):.0f} s left"
            parts = [f"round {row['round']}/{rounds}", left, tally.score, refusals(row)]
            stream.write("  ".join(part for part in parts if part) + "\n")
            stream.flush()

    return show


@contextmanager
def _bar(rounds: int, stream: TextIO) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    tally = Tally(rounds)
    columns = (
        TextColumn("round"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[left]}  {task.fields[score]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("round", total=rounds, left="", score="")

        def show(row: dict[str, Any]) -> None:
            tally.take(row)
            for line in bearable_lines(row):
                console.print(line)
            if row["event"] == "round":
                left = f"{tally.seconds_left(row['round']):.0f} s left"
                bar.update(task, completed=row["round"], left=left)
                if told := refusals(row):
                    console.print(f"round {row['round']}: {told}")
            bar.update(task, score=tally.score)

        yield show
