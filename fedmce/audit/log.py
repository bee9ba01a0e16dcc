"""Writes the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fedmce.audit.line import FIRST, KINDS, Head, seal
from fedmce.durable import Disk, Files, write_durably
from fedmce.errors import StateError


class Clock(Protocol):
    """What the log needs of the module ``time``."""

    def time(self) -> float:
        """Seconds since 1970, which may jump."""

    def monotonic(self) -> float:
        """Seconds since some moment, which do not jump."""


class AuditLog:
    """Appends sealed lines; a line is in the file when :meth:`write` returns, on the disk after :meth:`sync`.

    Args:
        path: the file; made with the first line.
        head: newest line of the file as :func:`fedmce.audit.verify` found it; None for a new file.
        boot: what tells this start of the machine from others, since ``t_mono`` counts from there.
        files: the file system.
        on_full: called when the disk takes no more; True if another try is worth it.
        clock: for tests.
    """

    def __init__(
        self,
        path: Path,
        head: Head | None = None,
        *,
        boot: str = "",
        files: Files | None = None,
        on_full: Callable[[OSError], bool] = lambda error: False,
        clock: Clock = time,
    ) -> None:
        self.path, self.head, self._boot, self._clock = path, head, boot, clock
        self._files: Files = files if files is not None else Disk()
        self.on_full = on_full
        self.flushed: Head | None = None
        self._is_doubtful = False
        self._is_new = self._files.kind(path) is None
        if self._is_new != (head is None):
            raise StateError(
                f"{path}: {'not there' if self._is_new else 'there already'}; verify it before it is continued"
            )

    def write(self, kind: str, *, round: int | None = None, site: str | None = None, **data: Any) -> Head:
        """Append one decision; the new head.

        Args:
            kind: one of :data:`fedmce.audit.KINDS`; the first line is ``run_start``.
            round: round that it belongs to.
            site: site that it is about.
            data: what else is to be known; no rows, no values of samples.

        Raises:
            StateError: unknown kind, or a first line that does not start a run.
            OSError: the file cannot be written.
        """
        if kind not in KINDS:
            raise StateError(f"audit log: kind {kind!r}; needed one of {', '.join(sorted(KINDS))}")
        if self.head is None and kind != "run_start":
            raise StateError(f"audit log: first line {kind!r}; needed run_start")
        seq = 0 if self.head is None else self.head.seq + 1
        rest: dict[str, Any] = {
            "boot": self._boot,
            "data": data,
            "kind": kind,
            "round": round,
            "seq": seq,
            "site": site,
        }
        rest |= {"t_mono": self._clock.monotonic(), "t_wall": self._clock.time()}
        line, h = seal(FIRST if self.head is None else self.head.h, rest)
        self._append(line)
        self.head = Head(seq, h)
        return self.head

    def sync(self) -> None:
        """Flush what was written to the disk; after a failed flush the whole file is written anew."""
        if self._is_doubtful:
            write_durably(self._files, self.path, self._files.read(self.path))
        else:
            self._is_doubtful = True
            self._files.sync(self.path)
        self._is_doubtful, self.flushed = False, self.head
        if self._is_new:
            self._files.sync_folder(self.path.parent)
            self._is_new = False

    def _append(self, line: bytes) -> None:
        while True:
            try:
                return self._files.append(self.path, line)
            except OSError as error:
                if not self.on_full(error):
                    raise
