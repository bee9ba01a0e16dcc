"""What the ablation runs next: a pure function of what is settled, so that it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.arms import ARMS, BY_NAME, Arm
from benchmarks.cells import BY_SETTING, Cell
from benchmarks.study import TUNING_SEEDS, best_step

SEEDS = tuple(range(5))
# Cell -> validation score of its run; None for a run that failed or that no validation row scored.
Settled = Mapping[Cell, float | None]


def tuning(arm: Arm, setting: str, settled: Settled) -> tuple[list[Cell], float | None]:
    """Choose an arm's step size, or say what is missing for the choice.

    Returns:
        Tuning cells that are not settled, and the step size once there are none; None too when every
        tuning run failed.
    """
    open_cells = _open(arm, setting, arm.grid.steps, TUNING_SEEDS, settled)
    if open_cells:
        return open_cells, None
    best = best_step(_validation(arm, setting, arm.grid.steps, settled))
    beyond = {arm.grid.steps[0]: arm.grid.below, arm.grid.steps[-1]: arm.grid.above}.get(best) if best else None
    if beyond is None:
        return [], best
    open_cells = _open(arm, setting, (beyond,), TUNING_SEEDS, settled)
    if open_cells:
        return open_cells, None
    return [], best_step(_validation(arm, setting, (*arm.grid.steps, beyond), settled))


def final_cells(arm: Arm, setting: str, settled: Settled) -> list[Cell]:
    """The compared cells of an arm, one per seed; empty until its step size is known."""
    owner = BY_NAME[arm.runs_of or arm.name]
    _, step = tuning(BY_NAME[owner.tuned_as or owner.name], setting, settled)
    return [] if step is None else [Cell(setting, owner.name, step, seed) for seed in SEEDS]


def open_of(arm: Arm, setting: str, settled: Settled) -> list[Cell]:
    """Cells of an arm that can run now."""
    tuned = BY_NAME[BY_NAME[arm.runs_of or arm.name].tuned_as or arm.runs_of or arm.name]
    missing, _ = tuning(tuned, setting, settled)
    return missing or [cell for cell in final_cells(arm, setting, settled) if cell not in settled]


def open_cells(arms: Iterable[Arm], settings: Sequence[str], settled: Settled) -> list[Cell]:
    """All cells that can run now, the most urgent arms first, each cell once."""
    places = [(arm, setting) for arm in arms for setting in settings]
    order = {arm.name: number for number, arm in enumerate(ARMS)}
    rank = {setting: number for number, setting in enumerate(BY_SETTING)}
    places.sort(key=lambda place: (place[0].urgency, rank[place[1]], order[place[0].name]))
    return list(dict.fromkeys(cell for arm, setting in places for cell in open_of(arm, setting, settled)))


def outlook(arms: Iterable[Arm], settings: Sequence[str], settled: Settled) -> int:
    """Cells still to run, as far as is known: an edge of a grid may add some."""
    arms = list(arms)
    todo = set(open_cells(arms, settings, settled))
    for setting in settings:
        for owner in {arm.runs_of or arm.name for arm in arms}:
            _, step = tuning(BY_NAME[BY_NAME[owner].tuned_as or owner], setting, settled)
            if step is None:
                todo |= {Cell(setting, owner, 0.0, seed) for seed in SEEDS}
    return len(todo)


def _open(arm: Arm, setting: str, steps: Sequence[float], seeds: Sequence[int], settled: Settled) -> list[Cell]:
    cells = (Cell(setting, arm.name, step, seed) for step in steps for seed in seeds)
    return [cell for cell in cells if cell not in settled]


def _validation(arm: Arm, setting: str, steps: Sequence[float], settled: Settled) -> dict[float, list[float]]:
    found = {step: [settled[Cell(setting, arm.name, step, seed)] for seed in TUNING_SEEDS] for step in steps}
    return {step: [score for score in scores if score is not None] for step, scores in found.items()}
