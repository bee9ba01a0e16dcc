"""A study as the command sees it: its plan, what is settled of it, and the folder that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedmce.cli.study_file import read_arguments
from fedmce.study.cell import Cell, canonical, cell_key
from fedmce.study.folder import StudyFolder
from fedmce.study.plan import Plan


def make_plan(arguments: Sequence[str]) -> Plan:
    """The checked plan of a study."""
    from fedmce.cli.compose import load_config
    from fedmce.study.code import code_sha256

    found, extra = read_arguments(arguments)
    return Plan(found, load_config, extra, code_sha256())


def check_names(plan: Plan) -> None:
    """Every configuration against the names of its data set."""
    from fedmce.config.agreement import check_against
    from fedmce.config.explain import config_error
    from fedmce.data import dataset_of
    from fedmce.errors import ConfigError

    problems: dict[str, None] = {}
    for method, setting in plan.places():
        config = plan.any_config(setting, method).model_copy(update={"seed": plan.study.seeds[0]})
        try:
            check_against(config, dataset_of(config))
        except ConfigError as error:
            problems[f"{setting}: {error}"] = None
    if problems:
        raise config_error(list(problems), f"study {plan.study.name}")


class State:
    """What is settled, in memory as in the folder."""

    def __init__(self, plan: Plan, folder: StudyFolder, *, any_code: bool = False) -> None:
        self.plan, self.folder = plan, folder
        # A failed cell is tried again by the next command.
        rows = [row for row in folder.rows() if row["status"] == "done"]
        self.settled: dict[str, Any] = {}
        self._by_key = {row["key"]: row for row in rows}
        self._by_name = {(canonical(row["overrides"]), row["seed"]): row for row in rows} if any_code else {}
        while found := {key: row for key, row in map(self._earlier, plan.open_cells(self.settled)) if row is not None}:
            self.settled |= found

    def _earlier(self, cell: Cell) -> tuple[str, dict[str, Any] | None]:
        """The cell's key, and the row that an earlier command left of it."""
        key = self.plan.key(cell)
        return key, self._by_key.get(key) or self._by_name.get(self.name(cell))

    def name(self, cell: Cell) -> tuple[str, int]:
        """A cell by what its author wrote."""
        return canonical(list(self.plan.overrides(cell.setting, cell.method, cell.values))), cell.seed

    def words(self) -> str:
        """How far it is, for the line about an interruption."""
        left = sum(self.plan.outlook(self.settled).values())
        return f"{len(self.settled)} cells done, {left} to do; kept in {self.folder.path}, the same command goes on"

    def settle(self, cell: Cell, record: dict[str, Any] | None, reason: str = "") -> dict[str, Any]:
        """Keep what became of a cell, in the folder first."""
        row = self._row(cell) | {"status": "failed", "reason": reason, "code": self.plan.code}
        if record is not None:
            validation = (record["metrics"].get("validation") or {}).get("mean_subset")
            metric = self.plan.study.metric
            row |= {"status": "done", "reason": "", "code": record["hashes"]["code"], "validation": validation}
            row |= {"score": record["metrics"].get(metric), "seconds": record["seconds"]["total_s"]}
            # The code may have changed since the plan was made: the record is that of the code that ran.
            row["key"] = cell_key(row["fingerprint"], row["code"])
        self.folder.add(row, record)
        self.settled[self.plan.key(cell)] = row
        return row

    def _row(self, cell: Cell) -> dict[str, Any]:
        plan = self.plan
        overrides = list(plan.overrides(cell.setting, cell.method, cell.values))
        return {
            "key": plan.key(cell),
            "setting": cell.setting,
            "method": cell.method,
            "seed": cell.seed,
            "values": dict(cell.values),
            "tunes": cell.tunes,
            "fingerprint": plan.config(cell).fingerprint(),
            "overrides": overrides,
        }
