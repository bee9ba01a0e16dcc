"""A record that a full disk makes wait."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmce.record import RecordWriter
from fedmce.record.writer import Observer, Row
from server.committed.room import Room


class PatientRecord(RecordWriter):
    """A record that waits for room on a full disk in place of ending the run.

    Args:
        folder: of the run.
        observer: gets every row.
        room: waits.
        take: gets every row, first.
    """

    def __init__(self, folder: Path, observer: Observer | None, room: Room, take: Callable[[Row], None]) -> None:
        super().__init__(folder, observer)
        self._room, self._take = room, take

    def write(self, event: str, **fields: Any) -> Row:
        """See :class:`fedmce.record.RecordWriter`."""
        row = super().write(event, **fields)
        self._take(row)
        return row

    def _append(self, line: str) -> None:
        before = self._path.stat().st_size if self._path.exists() else 0
        while True:
            try:
                return super()._append(line)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.truncate(self._path, before)  # half a row would make the next one unreadable
                self._room.on_full(error)
