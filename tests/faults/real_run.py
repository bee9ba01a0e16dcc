"""A made federation that really trains, run, stopped and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmce.config.schema import RunConfig
from fedmce.record import read_record
from simulations import engines
from tests.server.made import made_config

ROUNDS = 4
TIMES = ("time", "timing", "seconds", "total_s", "train_s", "evaluate_s")


DEPLOYED = {
    "engine__name": "deployed",
    "privacy__i_know": True,
    "exchange__wait_sites_s": 0.5,
    "exchange__accept_min": 1,
}


def small(method: str = "fedmce", **changes: Any) -> RunConfig:
    return made_config(method, **({"rounds": ROUNDS, "evaluate_every": 2} | changes))


def run(config: RunConfig, folder: Path, stop_after: int = 0) -> None:
    """Run in this process; with ``stop_after`` it dies when that round is recorded and not yet committed."""

    def watch(row: dict[str, Any]) -> None:
        if row["event"] == "round" and row["round"] == stop_after:
            raise RuntimeError("stopped by the test")

    if stop_after:
        with pytest.raises(RuntimeError, match="stopped by the test"):
            engines.run(config, folder, watch)
    else:
        engines.run(config, folder, watch)


def plain(tree: Any) -> Any:
    """The tree without what a clock has said."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items() if key not in TIMES}
    return [plain(value) for value in tree] if isinstance(tree, list) else tree


def rows(folder: Path) -> list[str]:
    """The record as text, key order included, without times and the row that says that it was resumed."""
    return [json.dumps(plain(row)) for row in read_record(folder) if row["event"] != "resume"]


def assert_equal_runs(one: Path, other: Path) -> None:
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows(one) == rows(other)
    results = [plain(json.loads((folder / "result.json").read_text(encoding="utf-8"))) for folder in (one, other)]
    for result in results:
        result["cost"].pop("seconds_by_site")
        result.pop("timing", None)
    assert results[0] == results[1]
