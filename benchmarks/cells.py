"""Cells of the ablation: one run of one arm, its folder, and what is read from its record."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arms import BY_NAME, SETTINGS
from benchmarks.study import LAST_ROUND_ONLY, train

DONE, FAILURE = "cell.json", "failure.txt"
BY_SETTING = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Cell:
    """One run: where, which arm, at which step size and seed."""

    setting: str
    arm: str
    lr: float
    seed: int

    @property
    def key(self) -> str:
        """Folder below that of the ablation."""
        return f"{self.setting}/{self.arm}/lr{self.lr:g}-seed{self.seed}"

    def overrides(self, extra: Iterable[str] = ()) -> tuple[str, ...]:
        """The whole configuration, as overrides of the defaults.

        Args:
            extra: overrides for all cells; they win.
        """
        own = (f"training.lr={self.lr}", f"seed={self.seed}", LAST_ROUND_ONLY)
        arm = BY_NAME[self.arm]
        return (*BY_SETTING[self.setting].overrides, *arm.base, *arm.overrides, "rounds=30", *own, *extra)


@dataclass(frozen=True)
class Scores:
    """Scores of one final model: validation rows at the sites and test rows."""

    validation: float | None
    mean_subset: float | None
    per_subset: Mapping[str, float | None]


@dataclass(frozen=True)
class CellResult:
    """What a finished run says."""

    plain: Scores
    completed: Scores | None
    masks_sha256: str
    rounds: int
    seconds: float
    versions: Mapping[str, str]

    def scores(self, *, completed: bool) -> Scores | None:
        """Plain scores, or those with completed tokens if the run has them."""
        return self.completed if completed else self.plain


def run_cell(cell: Cell, out: Path, data_dir: str, extra: tuple[str, ...]) -> CellResult:
    """Run a cell in this process, over whatever an unfinished try left, and read its scores."""
    from fedmce.record import write_json

    folder = out / cell.key
    if folder.exists():
        shutil.rmtree(folder)
    train((*cell.overrides(extra), f"data_dir={json.dumps(data_dir)}"), folder)
    # Written last: the mark of a finished cell. Overrides, not the whole configuration, so that a choice that is
    # added to the schema later leaves the records what they are.
    write_json(folder / DONE, list(cell.overrides(extra)))
    return _read(folder)


def read_cell(cell: Cell, out: Path, extra: tuple[str, ...]) -> CellResult | None:
    """The result of a finished run with these very overrides; None if there is none."""
    path = out / cell.key / DONE
    if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != list(cell.overrides(extra)):
        return None
    return _read(path.parent)


def note_failure(cell: Cell, out: Path, reason: str) -> None:
    """Leave the reason in the cell's folder; its next try removes it."""
    folder = out / cell.key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE).write_text(reason + "\n", encoding="utf-8")


def settled_cells(out: Path, extra: tuple[str, ...]) -> dict[Cell, CellResult | None]:
    """Results of all finished cells below a folder; None for cells that failed."""
    found: dict[Cell, CellResult | None] = {}
    for folder in sorted(out.glob("*/*/lr*-seed*")):
        cell = _cell_of(folder)
        if cell is None:
            continue
        result = read_cell(cell, out, extra)
        if result is not None or (folder / FAILURE).exists():
            found[cell] = result
    return found


def _cell_of(folder: Path) -> Cell | None:
    """The cell that a folder's name says; None for folders of an arm or data set that is no more."""
    name = re.fullmatch(r"lr([0-9.e+-]+)-seed(\d+)", folder.name)
    setting, arm = folder.parts[-3], folder.parts[-2]
    if name is None or setting not in BY_SETTING or arm not in BY_NAME:
        return None
    return Cell(setting, arm, float(name[1]), int(name[2]))


def _read(folder: Path) -> CellResult:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    with (folder / "record.jsonl").open(encoding="utf-8") as file:
        start = json.loads(next(file))
    metrics, validation = result["metrics"], result["metrics"]["validation"] or {}
    return CellResult(
        plain=Scores(validation.get("mean_subset"), metrics["mean_subset"], metrics["per_subset"]),
        completed=_completed(metrics, folder),
        masks_sha256=result["masks_sha256"],
        rounds=result["rounds"],
        seconds=result["timing"]["total_s"],
        versions={"fedmce": result["fedmce_version"], **start["versions"]},
    )


def _completed(metrics: Mapping[str, Any], folder: Path) -> Scores | None:
    """Scores with completed tokens: in the result, else in the last evaluations of the record."""
    test, validation = metrics.get("completed"), (metrics["validation"] or {}).get("completed")
    if BY_NAME[folder.parent.name].uses_completion and (test is None or validation is None):
        last = {row["split"]: row.get("completed") for row in _events(folder, "evaluation")}
        test, validation = test or last.get("test"), validation or last.get("validation")
    if test is None:
        return None
    return Scores(
        (validation or {}).get("mean_subset"), test["mean_subset"], test.get("by_subset", test.get("per_subset", {}))
    )


def _events(folder: Path, event: str) -> Iterator[dict[str, Any]]:
    with (folder / "record.jsonl").open(encoding="utf-8") as file:
        for line in file:
            if (row := json.loads(line))["event"] == event:
                yield row
