"""What a study runs next: a pure function of what is settled, so that it goes on where it stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedmce.config.explain import config_error
from fedmce.config.schema import RunConfig
from fedmce.config.study import OWNED, Grid, StudyConfig
from fedmce.errors import ConfigError
from fedmce.study.cell import Cell, Values, cell_key, override

Row = Mapping[str, Any]
Settled = Mapping[str, Row]
"""Key of a cell -> its row in ``cells.jsonl``: at least ``status`` and, of finished cells, ``validation``."""
Compose = Callable[[Sequence[str]], RunConfig]


@dataclass(frozen=True)
class Choice:
    """How the values of a method in a setting were chosen, as far as that is known.

    Attributes:
        values: what was chosen; None while runs are missing, or if none is usable.
        open: runs that the choice still waits for.
        scores: mean validation score of each combination; None where a run failed or has no such score.
        reason: why there is nothing to choose from; empty otherwise.
    """

    values: Values | None
    open: tuple[Cell, ...] = ()
    scores: tuple[tuple[Values, float | None], ...] = ()
    reason: str = ""


class Plan:
    """The cells of a study, their configurations and their keys.

    Args:
        study: the checked study.
        compose: overrides -> checked configuration.
        extra: overrides of all cells that win over those of the study.
        code: hash of the code that will run the cells.

    Raises:
        ConfigError: configurations that the schema refuses; all problems in one message, each once.
    """

    def __init__(self, study: StudyConfig, compose: Compose, extra: Sequence[str] = (), code: str = "") -> None:
        self.study, self.extra, self.code = study, tuple(extra), code
        _check_extra(study, self.extra)
        self._configs = _composed(self, compose)
        self._keys: dict[Cell, str] = {}
        self._first = _first_settings(self)

    def overrides(self, setting: str, method: str, values: Values) -> tuple[str, ...]:
        """Overrides of a run but for its seed; later ones win."""
        chosen = (override(key, value) for key, value in values)
        study = self.study
        own = (*study.common, *study.settings[setting].overrides, *study.methods[method].overrides)
        return (*own, *chosen, *self.extra)

    def config(self, cell: Cell) -> RunConfig:
        """The configuration of a cell."""
        return self._configs[cell.setting, cell.method, cell.values].model_copy(update={"seed": cell.seed})

    def any_config(self, setting: str, method: str) -> RunConfig:
        """A configuration of the method in the setting, for what neither values nor seeds change."""
        return self._configs[setting, method, self.combinations(method)[0]]

    def key(self, cell: Cell) -> str:
        """Key of the cell's record."""
        if cell not in self._keys:
            config = self.config(cell)
            # Other folders are other data: where they lie counts here, though in no fingerprint.
            place = getattr(config.dataset, "path", None) or ""
            self._keys[cell] = cell_key(config.fingerprint() + place, self.code)
        return self._keys[cell]

    def dataset(self, setting: str) -> str:
        """Label of the setting's data set."""
        given = self.study.settings[setting].dataset
        return given or self.any_config(setting, self.study.reference).dataset.name

    def protocol(self, setting: str) -> str:
        """Label of the setting's protocol: as given, the preset's name, or the setting's."""
        preset = self.any_config(setting, self.study.reference).protocol
        return self.study.settings[setting].protocol or (preset if preset != "none" else setting)

    def combinations(self, method: str) -> list[Values]:
        """All values to choose from; one empty combination without tuning."""
        if self.study.tuning is None:
            return [()]
        owner = self.study.methods[self._tuned(method)]
        return _product(owner.grid or self.study.tuning.grid)

    def tuning_cells(self, method: str, setting: str) -> dict[Values, list[Cell]]:
        """Runs that choose the method's values for the setting; none without a choice."""
        tuning, found = self.study.tuning, self.combinations(method)
        if tuning is None or len(found) < 2:
            return {}
        place = setting if tuning.per == "setting" else self._first[setting]
        method = self._tuned(method)
        return {values: [Cell(place, method, seed, values, tunes=True) for seed in tuning.seeds] for values in found}

    def choice(self, method: str, setting: str, settled: Settled) -> Choice:
        """Choose the values with the best mean validation score; of equal ones the first."""
        cells = self.tuning_cells(method, setting)
        if not cells:
            return Choice(self.combinations(method)[0])
        if missing := [cell for group in cells.values() for cell in group if self.key(cell) not in settled]:
            return Choice(None, tuple(missing))
        scores = {
            values: _mean([_validation(settled[self.key(cell)]) for cell in group]) for values, group in cells.items()
        }
        known = {values: score for values, score in scores.items() if score is not None}
        if not known:
            return Choice(None, (), tuple(scores.items()), "no combination has a validation score on every tuning seed")
        return Choice(max(known, key=lambda values: known[values]), (), tuple(scores.items()))

    def final_cells(self, method: str, setting: str, settled: Settled) -> list[Cell]:
        """The compared runs, one per seed; empty until the values are chosen."""
        values = self.choice(method, setting, settled).values
        return [] if values is None else [Cell(setting, method, seed, values) for seed in self.study.seeds]

    def places(self) -> Iterator[tuple[str, str]]:
        """All (method, setting)."""
        return ((method, setting) for setting in self.study.settings for method in self.study.methods)

    def open_cells(self, settled: Settled) -> list[Cell]:
        """Cells that can run now: tuning runs, then finals seed by seed, so that whole sets of pairs come first."""
        tuning: list[Cell] = []
        finals: list[Cell] = []
        for method, setting in self.places():
            choice = self.choice(method, setting, settled)
            tuning += choice.open
            if choice.values is not None:
                finals += [Cell(setting, method, seed, choice.values) for seed in self.study.seeds]
        order = {seed: number for number, seed in enumerate(self.study.seeds)}
        finals.sort(key=lambda cell: order[cell.seed])
        return self._unsettled([*dict.fromkeys(tuning), *finals], settled)

    def outlook(self, settled: Settled) -> dict[str, int]:
        """Cells still to run per setting, also those whose values are not chosen yet."""
        left: dict[str, int] = {}
        for cell in self.open_cells(settled):
            left[cell.setting] = left.get(cell.setting, 0) + 1
        waiting: dict[str, str] = {}
        for method, setting in self.places():
            if self.choice(method, setting, settled).open:
                # Methods of equal configurations will be equal cells, whatever is chosen for them.
                waiting.setdefault(self.key(Cell(setting, method, 0, self.combinations(method)[0])), setting)
        for setting in waiting.values():
            left[setting] = left.get(setting, 0) + len(self.study.seeds)
        return left

    def _tuned(self, method: str) -> str:
        return self.study.methods[method].tuned_as or method

    def _unsettled(self, cells: Sequence[Cell], settled: Settled) -> list[Cell]:
        by_key = {self.key(cell): cell for cell in reversed(cells)}  # equal configurations run once: the first's
        return [cell for cell in cells if self.key(cell) not in settled and by_key[self.key(cell)] is cell]


def _product(grid: Grid) -> list[Values]:
    return [tuple(zip(grid, found, strict=True)) for found in itertools.product(*grid.values())]


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    # A combination that lost a run on some seed would be judged on easier seeds than the others.
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def _validation(row: Row) -> float | None:
    value = row.get("validation") if row["status"] == "done" else None
    return None if value is None else float(value)


def _check_extra(study: StudyConfig, extra: Sequence[str]) -> None:
    tuned = set(study.tuning.grid) if study.tuning else set()
    tuned |= {key for method in study.methods.values() for key in method.grid or ()}
    for text in extra:
        key = text.partition("=")[0].strip().lstrip("+~")
        if key in OWNED:
            raise ConfigError(f"{text}: the study sets {', '.join(OWNED)} itself; use seeds=[..] or --out")
        if key in tuned:
            raise ConfigError(f"{text}: the study tunes {key}; needed another key, or tuning=null for no choice")


def _composed(plan: Plan, compose: Compose) -> dict[tuple[str, str, Values], RunConfig]:
    found: dict[tuple[str, str, Values], RunConfig] = {}
    problems: dict[str, list[str]] = {}
    for method, setting in plan.places():
        for values in plan.combinations(method):
            try:
                found[setting, method, values] = compose(plan.overrides(setting, method, values))
            except ConfigError as error:
                for message in _single(str(error)):
                    problems.setdefault(message, []).append(f"{setting} with {method}")
    if problems:
        places = {message: list(dict.fromkeys(where)) for message, where in problems.items()}
        messages = [f"{_listed(where)}: {message}" for message, where in places.items()]
        raise config_error(messages, f"study {plan.study.name}")
    return found


def _single(text: str) -> list[str]:
    """The problems of one configuration, each by itself (:func:`fedmce.config.explain.config_error`)."""
    head, *rest = text.split("\n  - ")
    return rest or [head]


def _listed(places: list[str]) -> str:
    return places[0] + (f" and {len(places) - 1} more" if len(places) > 1 else "")


def _first_settings(plan: Plan) -> dict[str, str]:
    """The first setting of each one's data set."""
    first: dict[str, str] = {}
    return {setting: first.setdefault(plan.dataset(setting), setting) for setting in plan.study.settings}
