"""The record of a run that another process writes: every row once, as it comes."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from fedmce.record.writer import RECORD, Row, not_json


class RecordFollower:
    """Reads what was appended since the last look, so that a look costs the same in a long run.

    A run that goes on cuts its record back to what was committed; what stayed of it is not read again. For this a
    number per line is kept, and no row.

    Args:
        folder: of the run; need not have a record yet.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self._lines: list[tuple[int, int]] = []  # where each ends, and its CRC
        self._mark: tuple[int, ...] = ()  # inode, time and size when it was read

    def new(self) -> list[Row]:
        """Whole rows that were not there at the last look, in their order; empty if there is no record.

        Raises:
            DataError: a line is not JSON.
        """
        try:
            with self._path.open("rb") as file:
                return self._new(file)
        except OSError:
            return []

    def _new(self, file: BinaryIO) -> list[Row]:
        about = os.fstat(file.fileno())
        mark = about.st_ino, about.st_mtime_ns, about.st_size
        if mark == self._mark:
            return []
        if not self._is_last_line_there(file):
            self._forget_what_was_cut(file)
        rows, end = list[Row](), self._end
        file.seek(end)
        for line in file:
            if not line.endswith(b"\n"):
                break  # the rest of it is on its way
            end += len(line)
            if line.strip():
                rows.append(self._row(line))
            self._lines.append((end, zlib.crc32(line)))
        self._mark = mark
        return rows

    def _row(self, line: bytes) -> Row:
        try:
            return cast(Row, json.loads(line))
        except ValueError as error:
            raise not_json(self._path, len(self._lines) + 1, error) from error

    @property
    def _end(self) -> int:
        return self._lines[-1][0] if self._lines else 0

    def _is_last_line_there(self, file: BinaryIO) -> bool:
        if not self._lines:
            return True
        begin = self._lines[-2][0] if len(self._lines) > 1 else 0
        end, crc = self._lines[-1]
        file.seek(begin)
        return zlib.crc32(file.read(end - begin)) == crc

    def _forget_what_was_cut(self, file: BinaryIO) -> None:
        """Keep the lines before the first that is another one now; each has its time in it, so they are told apart."""
        file.seek(0)
        kept = end = 0
        for known, line in zip(self._lines, file, strict=False):
            end += len(line)
            if known != (end, zlib.crc32(line)):
                break
            kept += 1
        del self._lines[kept:]
