"""Reads the files of a run folder, however far the run came."""

from __future__ import annotations

import json
from pathlib import Path

from fedmce.errors import DataError
from fedmce.record import read_record
from fedmce.record.writer import start_of
from fedmce.report.story import Story


def read(run: Path) -> Story:
    """Read the records of one run folder.

    Args:
        run: folder that holds ``record.jsonl`` and, where the run went so far, ``result.json`` and ``config.yaml``.

    Raises:
        DataError: no ``record.jsonl``, no ``start`` event in it, or a line other than the last is not JSON.
    """
    rows = read_record(run)
    start = start_of(rows)
    if start is None:
        raise DataError(f"report: {run}/record.jsonl has no start event; needed the record of a run (docs/record.md)")
    ends = [row for row in rows if row["event"] == "end"]
    result, config = run / "result.json", run / "config.yaml"
    try:
        final = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else None
    except json.JSONDecodeError as error:
        raise DataError(f"report: {result} is not JSON ({error}); needed the file that the run wrote") from error
    return Story(
        folder=run,
        start=start,
        profiles={row["site"]: row for row in rows if row["event"] == "profile"},
        rounds=[row for row in rows if row["event"] == "round"],
        evaluations=[row for row in rows if row["event"] == "evaluation"],
        scorings=[row for row in rows if row["event"] == "scoring"],
        end=ends[-1] if ends else None,
        result=final,
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
    )
