"""Two pieces of work against each other: measured in turns, so that a machine that slows down slows both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

Work = Callable[[], object]
Clock = Callable[[], float]
REPEATS = 7


def seconds(work: Work, clock: Clock = time.process_time) -> float:
    """Seconds that the work takes, with the garbage of before collected and no collection within.

    The default clock is CPU time of this process: with one thread it is the time of an idle machine, and does
    not count what other processes of a busy one take.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        began = clock()
        work()
        return clock() - began
    finally:
        if collects:
            gc.enable()


def alternating(
    work: Work, base: Work, repeats: int = REPEATS, clock: Clock = time.process_time
) -> list[tuple[float, float]]:
    """Seconds of both, ``repeats`` times, after one turn that is not counted.

    Every other time the base goes first, so that neither always finds the caches of the other.
    """
    work(), base()
    found = []
    for turn in range(repeats):
        if turn % 2:
            second = seconds(base, clock)
            found.append((seconds(work, clock), second))
        else:
            found.append((seconds(work, clock), seconds(base, clock)))
    return found


def median_ratio(work: Work, base: Work, repeats: int = REPEATS, clock: Clock = time.process_time) -> float:
    """Median over the repeats of the seconds of the work over those of the base beside it."""
    return statistics.median(mine / other for mine, other in alternating(work, base, repeats, clock))
