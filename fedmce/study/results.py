"""What a study has found so far: records of the compared cells, what failed, what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fedmce.config.study import StudyConfig
from fedmce.study.folder import StudyFolder
from fedmce.study.plan import Choice, Plan, Settled
from fedmce.study.table import Line, scores

Place = tuple[str, str, int]
"""Setting, method, seed."""


@dataclass(frozen=True)
class Facts:
    """A setting's labels."""

    dataset: str
    protocol: str
    x: float | None
    curve: str
    rare: str | None


@dataclass(frozen=True)
class Lost:
    """A run that is not there, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Results:
    """Everything that tables and figures are made of.

    Attributes:
        study: the study.
        facts: per setting.
        records: per finished compared run.
        lost: runs that failed, and choices that could not be made.
        open: runs that have not been tried yet.
        choices: per (method, setting).
        seconds: spent by all finished runs, those of the choice too.
        runs: finished runs, those of the choice too.
        codes: hashes of the code that made the records.
    """

    study: StudyConfig
    facts: dict[str, Facts]
    records: dict[Place, dict[str, Any]]
    lost: tuple[Lost, ...]
    open: int
    choices: dict[tuple[str, str], Choice]
    seconds: float
    runs: int
    codes: tuple[str, ...] = ()
    _values: dict[tuple[Place, str], float | None] = field(default_factory=dict)

    def value(self, setting: str, method: str, seed: int, metric: str) -> float | None:
        """One number over subsets and sites of a run, or ``metric="subset:NAME"``; None where it is unknown."""
        place = (setting, method, seed)
        if place not in self.records:
            return None
        if (place, metric) not in self._values:
            wanted = (metric.removeprefix("subset:"), "") if metric.startswith("subset:") else ("", "")
            name = self.records[place]["metric"] if wanted[0] else metric
            self._values[place, metric] = next(
                (
                    value
                    for subset, site, key, value in scores(self.records[place], self.facts[setting].rare)
                    if (subset, site, key) == (*wanted, name)
                ),
                None,
            )
        return self._values[place, metric]

    def by_seed(self, setting: str, method: str, metric: str) -> dict[int, float]:
        """The numbers of all finished seeds, in the order of the study's seeds."""
        found = {seed: self.value(setting, method, seed, metric) for seed in self.study.seeds}
        return {seed: value for seed, value in found.items() if value is not None}

    def lines(self) -> list[Line]:
        """The tidy table."""
        found = []
        for (setting, method, seed), record in self.records.items():
            facts = self.facts[setting]
            found += [
                Line(self.study.name, setting, method, seed, *score, facts.dataset, facts.protocol, facts.x)
                for score in scores(record, facts.rare)
            ]
        return found


def facts_of(plan: Plan) -> dict[str, Facts]:
    """Labels of all settings."""
    found = {}
    for name, setting in plan.study.settings.items():
        dataset = plan.dataset(name)
        found[name] = Facts(dataset, plan.protocol(name), setting.x, setting.curve or dataset, setting.rare)
    return found


def collect(plan: Plan, folder: StudyFolder, settled: Settled, running: Sequence[Lost] = ()) -> Results:
    """Read the records of all compared runs.

    Args:
        plan: the study's cells.
        folder: where their records are.
        settled: rows of ``cells.jsonl`` by key.
        running: what is known to be lost beyond these rows.
    """
    records: dict[Place, dict[str, Any]] = {}
    choices = {place: plan.choice(*place, settled) for place in plan.places()}
    lost = {**{item.label: item.reason for item in running}, **_failed(plan, settled, choices)}
    for (method, setting), choice in choices.items():
        if choice.reason:
            lost[f"{setting}/{method}"] = choice.reason
        for cell in plan.final_cells(method, setting, settled):
            row = settled.get(plan.key(cell))
            if row is not None and row["status"] == "done":
                records[setting, method, cell.seed] = folder.record(str(row["key"]))
    done = [row for row in settled.values() if row["status"] == "done"]
    return Results(
        study=plan.study,
        facts=facts_of(plan),
        records=records,
        lost=tuple(Lost(label, reason) for label, reason in lost.items()),
        open=sum(plan.outlook(settled).values()),
        choices=choices,
        seconds=sum(float(row.get("seconds") or 0.0) for row in done),
        runs=len(done),
        codes=tuple(sorted({str(row["code"]) for row in done})),
    )


def _failed(plan: Plan, settled: Settled, choices: dict[tuple[str, str], Choice]) -> dict[str, str]:
    found = {}
    for method, setting in choices:
        tuning = [cell for group in plan.tuning_cells(method, setting).values() for cell in group]
        for cell in [*tuning, *plan.final_cells(method, setting, settled)]:
            row = settled.get(plan.key(cell))
            if row is not None and row["status"] == "failed":
                found[cell.label] = str(row["reason"])
    return found
