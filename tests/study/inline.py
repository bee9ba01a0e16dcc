"""Runs cells without training: the pool in this process, scores by formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

import fedmce.cli.study as cli
from fedmce.study import code
from tests.study.made import record


class Runner:
    """Stands in for the worker processes; remembers what it ran.

    Args:
        fails: (method, seed) whose cells fail.
        stops_after: raise KeyboardInterrupt after so many cells.
    """

    def __init__(self, fails: Iterable[tuple[str, int]] = (), stops_after: int | None = None) -> None:
        self.fails, self.stops_after = set(fails), stops_after
        self.ran: list[Any] = []

    def install(self, patch: pytest.MonkeyPatch) -> Runner:
        patch.setattr(cli, "_workers", lambda plan, options: (1, self.work_off))
        return self

    def work_off(
        self, wanted: Callable[[], Iterable[Any]], run: Callable[[Any], Any], settle: Callable[[Any, Any], None]
    ) -> None:
        from simulations.study.pool import Failure

        started = set()
        while jobs := [job for job in wanted() if job not in started]:
            job = jobs[0]
            started.add(job)
            self.ran.append(job)
            cell = job.cell
            if (cell.method, cell.seed) in self.fails:
                settle(job, Failure("DataError: no such file"))
            else:
                settle(job, self._record(job))
            if len(self.ran) == self.stops_after:
                raise KeyboardInterrupt

    @staticmethod
    def _record(job: Any) -> dict[str, Any]:
        cell = job.cell
        # The larger the step the better, so that the choice can be told.
        score = 0.5 + 0.1 * (cell.method == "ours") + 0.01 * cell.seed + sum(float(v) for _, v in cell.values)
        found = record(cell.setting, cell.method, cell.seed, score)
        found["hashes"]["code"] = code.code_sha256()
        if job.traced:
            found["trace"] = [{"round": 1, "weights": {}, "contributions_by_site": {"north": {"image": 0.1}}}]
        return found
