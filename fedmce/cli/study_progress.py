"""Progress of a study on stderr: one bar over all cells on a terminal, one plain line per cell elsewhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

Say = Callable[[str, Mapping[str, int]], None]
"""Takes a line about a settled cell, and the cells left per setting."""


class Clock:
    """How long the rest will take, from what the cells of each setting took so far.

    Args:
        seconds: of finished cells by setting, of earlier commands too.
        workers: how many cells run at a time.
    """

    def __init__(self, seconds: Mapping[str, list[float]], workers: int) -> None:
        self._seconds = {setting: list(spent) for setting, spent in seconds.items()}
        self._workers = workers

    def add(self, setting: str, seconds: float) -> None:
        """A cell was finished."""
        self._seconds.setdefault(setting, []).append(seconds)

    def left(self, cells: Mapping[str, int]) -> float | None:
        """Seconds for so many cells per setting; None before any cell of any setting is known."""
        every = [spent for found in self._seconds.values() for spent in found]
        if not every:
            return None
        typical = {setting: statistics.median(self._seconds.get(setting) or every) for setting in cells}
        return sum(number * typical[setting] for setting, number in cells.items()) / self._workers


def duration(seconds: float) -> str:
    """``3 s``, ``12 min`` or ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def cell_progress(done: int, left: Mapping[str, int], clock: Clock, *, is_quiet: bool, stream: TextIO) -> Iterator[Say]:
    """Yield the function that takes each settled cell.

    Args:
        done: cells that were settled before.
        left: cells to do per setting.
        clock: estimates the rest.
        is_quiet: show nothing.
        stream: where to; decides by ``isatty`` between bar and lines.
    """
    if is_quiet:
        yield lambda line, cells: None
    elif stream.isatty():
        with _bar(done, left, clock, stream) as say:
            yield say
    else:
        yield _lines(done, clock, stream)


def _lines(done: int, clock: Clock, stream: TextIO) -> Say:
    settled = done

    def say(line: str, left: Mapping[str, int]) -> None:
        nonlocal settled
        settled += 1
        rest = clock.left(left)
        end = "" if rest is None else f"  {duration(rest)} left"
        stream.write(f"[{settled}/{settled + sum(left.values())}] {line}{end}\n")
        stream.flush()

    return say


@contextmanager
def _bar(done: int, left: Mapping[str, int], clock: Clock, stream: TextIO) -> Iterator[Say]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
    ends = TextColumn("{task.fields[left]}")
    columns = (TextColumn("cells"), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), ends)
    settled, started = done, time.monotonic()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("cells", completed=done, total=done + sum(left.values()), left=_words(clock.left(left)))

        def say(line: str, cells: Mapping[str, int]) -> None:
            nonlocal settled
            settled += 1
            rest = clock.left(cells) if time.monotonic() > started else None
            bar.update(task, completed=settled, total=settled + sum(cells.values()), left=_words(rest))
            console.print(line)

        yield say


def _words(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} left"
