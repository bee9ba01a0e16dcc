"""The folder of a study: ``cells.jsonl`` grows by one line per run, ``cells/<key>.json`` holds what a run says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmce.config.study import StudyConfig
from fedmce.errors import ConfigError, DataError
from fedmce.record import write_json

SCHEMA = "fedmce.study/1"


class StudyFolder:
    """Reads and writes the folder; nothing is written before :meth:`claim`.

    Args:
        path: the folder; may not exist yet.
        study: whose folder it is or becomes.

    Raises:
        ConfigError: the folder holds another study, or something else.
    """

    def __init__(self, path: Path, study: StudyConfig) -> None:
        self.path, self.study = path, study
        if path.exists() and not path.is_dir():
            raise ConfigError(
                f"--out: given {path}, which is a file; needed a new folder or that of study {study.name}"
            )
        marker = path / "study.json"
        if marker.exists():
            other = _read(marker).get("study", {}).get("name")
            if other != study.name:
                raise ConfigError(
                    f"--out: {path} holds study {other}; needed a new folder or that of study {study.name}"
                )
        elif path.exists() and any(path.iterdir()):
            raise ConfigError(f"--out: {path} is not empty and holds no study; needed a new folder")

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Make the folder and hold it: two commands would run the same cells.

        Raises:
            ConfigError: another command works in it.
        """
        import fcntl

        (self.path / "cells").mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"--out: another command works in {self.path}; wait for it or stop it") from None
            _mend(self.path / "cells.jsonl")
            write_json(self.path / "study.json", {"schema": SCHEMA, "study": self.study.model_dump(mode="json")})
            yield

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines of ``cells.jsonl``, in the order of writing.

        Raises:
            DataError: a line in the middle is not JSON.
        """
        path = self.path / "cells.jsonl"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number < len(lines):  # the last may be half: its process was killed
                    raise DataError(f"{path}, line {number}: not JSON ({error}); remove the line") from error
        return found

    def add(self, row: dict[str, Any], record: dict[str, Any] | None) -> None:
        """Append what became of a cell, its record first: a line promises a record."""
        if record is not None:
            write_json(self.path / "cells" / f"{row['key']}.json", record)
        line = {"schema": SCHEMA, "time": datetime.now(UTC).isoformat(timespec="seconds")} | row
        with (self.path / "cells.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")

    def record(self, key: str) -> dict[str, Any]:
        """The record of a finished cell.

        Raises:
            DataError: it is absent or not JSON.
        """
        return _read(self.path / "cells" / f"{key}.json")


def _mend(path: Path) -> None:
    """Remove a last line that a killed process left half."""
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(text.rfind(b"\n") + 1)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); needed a file that a study wrote") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}: given {type(tree).__name__}; needed a file that a study wrote")
    return tree
