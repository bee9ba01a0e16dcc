"""What a study keeps of a run: its figures, hashes and versions, without the model and the round by round record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmce.record import read_record
from fedmce.study.cell import Cell

KEPT = ("metric", "classes", "modalities", "sites", "dataset", "engine", "rounds", "rows", "availability")
CONTRIBUTIONS = ("contributions", "contributions_se", "interactions", "empty_value", "weights")


def compact(folder: Path, cell: Cell, *, traced: bool = False) -> dict[str, Any]:
    """The record of a cell from the folder of its run.

    Args:
        folder: folder of the finished run.
        cell: which cell it is.
        traced: also keep contributions, weights and scores of every round.

    Returns:
        ``cell, config, versions, hashes, metrics, contributions, seconds, bytes, patterns, refused`` and facts of
        the data set; with ``traced`` also ``trace`` (docs/studies-howto.md).

    Raises:
        DataError: the run left no whole record.
    """
    events = read_record(folder)
    start = next(row for row in events if row["event"] == "start")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    timing, moved = result["timing"], result["communication"]
    found = {
        "cell": {
            "setting": cell.setting,
            "method": cell.method,
            "seed": cell.seed,
            "values": dict(cell.values),
            "tunes": cell.tunes,
        },
        "config": _config(folder),
        "versions": {"fedmce": result["fedmce_version"], **start["versions"]},
        "hashes": {
            "fingerprint": result["fingerprint"],
            "masks": result["masks_sha256"],
        },
        **{key: result[key] for key in KEPT if key in result},
        "metrics": result["metrics"],
        **{key: result[key] for key in CONTRIBUTIONS if key in result},
        "refused": len(result["refused"]),
        "patterns": {row["site"]: row.get("patterns") for row in events if row["event"] == "profile"},
        "caution": result.get("caution", []),
        "seconds": {key: timing[key] for key in ("total_s", "train_s", "aggregate_s", "evaluate_s")},
        "bytes": {key: moved[key] for key in ("bytes_down", "bytes_up")},
    }
    return found | ({"trace": _trace(events)} if traced else {})


def _config(folder: Path) -> Any:
    import yaml

    path = folder / "config.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def _trace(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = ("round", "weights", "contributions", "contributions_by_site", "quality")
    return [{key: row[key] for key in keys if key in row} for row in events if row["event"] == "round"]
