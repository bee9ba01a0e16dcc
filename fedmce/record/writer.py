"""The event log of a run: one strict JSON object per line, on disk before the next step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmce.errors import DataError

SCHEMA = "fedmce.record/1"
RECORD = "record.jsonl"
Row = dict[str, Any]
Observer = Callable[[Row], None]


def strict(value: Any) -> Any:
    """The value with NaN and infinity as None, tuples as lists and numpy scalars as numbers."""
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class RecordWriter:
    """Appends rows to ``record.jsonl`` and hands each to an observer (progress bar)."""

    def __init__(self, folder: Path, observer: Observer | None = None) -> None:
        self._path = folder / RECORD
        self._observer = observer

    def write(self, event: str, **fields: Any) -> Row:
        """Append one row; it is flushed before this returns, so a killed run keeps all whole events."""
        row: Row = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds")} | strict(fields)
        self._append(json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n")
        if self._observer is not None:
            self._observer(row)
        return row

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def start_of(rows: Sequence[Row]) -> Row | None:
    """The ``start`` event with what resuming the run changed in it; None if the run ended before it."""
    start = next((row for row in rows if row["event"] == "start"), None)
    if start is None:
        return None
    resumed = [row for row in rows if row["event"] == "resume"]
    return start | {key: row[key] for row in resumed for key in ("rounds", "fingerprint") if key in row}


def read_record(folder: Path) -> list[Row]:
    """All whole rows of a run's record; a last line that was cut off is left out.

    Raises:
        DataError: no record there, or a line in the middle is not JSON.
    """
    path = folder / RECORD
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except OSError as error:
        raise DataError(f"{folder}: no readable record.jsonl; the folder of a run is needed") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise not_json(path, number, error) from error
    return rows


def not_json(path: Path, number: int, error: ValueError) -> DataError:
    """A line of a record that is no row."""
    return DataError(f"{path}, line {number}: not JSON ({error}); the record was changed after the run")
