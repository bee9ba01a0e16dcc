"""Room on the disk: asked for before a round, waited for when there is none."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fedmce.durable import FULL
from fedmce.errors import StateError

GONE = (errno.EROFS, errno.ENOENT, errno.ESTALE)
"""A disk that was mounted read-only or went away may come back."""
RESERVE = "reserve"
RESERVE_BYTES = 16 * 2**20
LEAST_FILES = 64
SMALLEST_BYTES = 2**20
Warn = Callable[[dict[str, Any]], None]


class Clock(Protocol):
    """What waiting needs of the module ``time``."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def free_bytes(folder: Path) -> int:
    """Bytes that may be written to the file system of ``folder``; 0 if it takes no more files."""
    told = os.statvfs(folder)
    if told.f_files and told.f_favail < LEAST_FILES:
        return 0
    return told.f_bavail * told.f_frsize


def may_pass(error: OSError) -> bool:
    """Whether waiting may help: no room, or a disk that is away."""
    return error.errno in (*FULL, *GONE)


class Room:
    """Waits for room, and keeps some aside for the last words of the logs.

    Args:
        folder: the state folder.
        warn: told once a minute while nothing can be written: ``why``, ``free_bytes``, ``needed_bytes``.
        free: bytes that are free.
        clock: for tests.
        gone_s: longest wait for a disk that is read-only or away; a full one is waited for without end.
        every_s: seconds between two warnings.
        poll_s: seconds between two looks.
    """

    def __init__(
        self,
        folder: Path,
        warn: Warn = lambda told: None,
        free: Callable[[Path], int] = free_bytes,
        clock: Clock = time,
        gone_s: float = 600.0,
        every_s: float = 60.0,
        poll_s: float = 1.0,
    ) -> None:
        self.warn = warn
        self._folder, self._free, self._clock = folder, free, clock
        self._gone_s, self._every_s, self._poll_s = gone_s, every_s, poll_s
        self._warned: float | None = None
        self._gone_since: float | None = None

    @property
    def _reserve(self) -> Path:
        return self._folder / RESERVE

    def take_reserve(self) -> None:
        """Set 16 MiB aside, if there are as many."""
        with contextlib.suppress(OSError):
            if self._free(self._folder) < 2 * RESERVE_BYTES:
                return
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)

    def release_reserve(self) -> bool:
        """Give it back; False if there was none."""
        try:
            os.unlink(self._reserve)
        except OSError:
            return False
        return True

    def is_low(self, needed: int) -> bool:
        """Whether fewer bytes than ``needed`` are free."""
        return self._free(self._folder) < needed

    def await_free(self, needed: int) -> bool:
        """Return when ``needed`` bytes are free; False if they had to be waited for."""
        at_once = True
        while (free := self._free(self._folder)) < needed:
            at_once = False
            self._wait("disk_low", free, needed)
        self._warned = None
        return at_once

    def wait_after(self, error: OSError) -> None:
        """Wait a little before what failed is tried again.

        Raises:
            StateError: waiting does not help, or the disk stayed away.
        """
        if not may_pass(error):
            raise self._lost(error) from error
        if error.errno in FULL:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = self._clock.monotonic()
        elif self._clock.monotonic() - self._gone_since > self._gone_s:
            raise self._lost(error) from error
        free = 0
        with contextlib.suppress(OSError):
            free = self._free(self._folder)
        self._wait(errno.errorcode.get(error.errno or 0, "?"), free, SMALLEST_BYTES)

    def on_full(self, error: OSError) -> bool:
        """For logs: the reserve first, then wait. True if another try is worth it; see :meth:`wait_after`."""
        if error.errno not in FULL or not self.release_reserve():
            self.wait_after(error)
        return True

    def written(self) -> None:
        """Something could be written: the next trouble is a new one."""
        self._warned = self._gone_since = None

    def _wait(self, why: str, free: int, needed: int) -> None:
        now = self._clock.monotonic()
        if self._warned is None or now - self._warned >= self._every_s:
            self._warned = now
            self.warn({"why": why, "free_bytes": free, "needed_bytes": needed})
        self._clock.sleep(self._poll_s)

    def _lost(self, error: OSError) -> StateError:
        return StateError(
            f"{self._folder}: {error.strerror or error}; needed a disk that takes the state of the run. mend it and "
            "resume: every committed round is there"
        )
