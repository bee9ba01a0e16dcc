"""Runs of the made federation, and what of a run must not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmce.config.schema import RunConfig
from fedmce.record import read_record
from simulations import engines


def run(config: RunConfig, folder: Path) -> Path:
    """Run in this process."""
    rows: list[dict[str, Any]] = []
    engines.run(config, folder, rows.append)
    assert rows[-1]["event"] == "end"
    return folder


def model_bytes(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def without_clock(tree: Any, leave_out: frozenset[str] = frozenset()) -> Any:
    """The tree without anything that a clock wrote, and without the named keys."""
    if isinstance(tree, dict):
        clock = {k for k in tree if k in {"timing", "time", "seconds"} or k.endswith("_s")}
        return {k: without_clock(v, leave_out) for k, v in tree.items() if k not in clock | leave_out}
    return [without_clock(item, leave_out) for item in tree] if isinstance(tree, list) else tree


def record(folder: Path) -> Any:
    """All events without times."""
    return without_clock(read_record(folder))


def rounds(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_record(folder) if row["event"] == "round"]
