"""``fedmce study``: plan, run what is missing, tables, figures, page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fedmce._paths import use_app
from fedmce.cli.door import Door
from fedmce.cli.run import sigterm_as_interrupt
from fedmce.cli.study_progress import Clock, cell_progress, duration
from fedmce.cli.study_state import State, check_names, make_plan
from fedmce.errors import RunError
from fedmce.study.cell import Cell
from fedmce.study.folder import StudyFolder
from fedmce.study.plan import Plan
from fedmce.study.results import Results, collect

if TYPE_CHECKING:
    from fedmce.study.output import Findings


@dataclass(frozen=True)
class Options:
    """How a study is run.

    Attributes:
        workers: processes; None: one per core, or one per GPU where runs use one.
        out: folder; None: ``runs/study-<name>``.
        ray: address of a Ray cluster; None: worker processes on this machine.
        is_dry: only say what would be run.
        is_quiet: no progress.
        draws_only: run nothing, make tables and page from what is there.
        any_code: take finished runs of other states of the code for what they are called.
    """

    workers: int | None = None
    out: Path | None = None
    ray: str | None = None
    is_dry: bool = False
    is_quiet: bool = False
    draws_only: bool = False
    any_code: bool = False


def study(arguments: Sequence[str], options: Options, out: Door) -> None:
    """Run what is missing of a study and write its tables and its page.

    Args:
        arguments: ``study=...`` and overrides.
        options: how.
        out: learns what is done, for messages on the way out.

    Raises:
        FedMCEError: the study or the data is wrong (nothing was written), or cells failed (everything was).
        KeyboardInterrupt: Ctrl-C or SIGTERM; finished cells are kept.
    """
    # Workers inherit it; torch reads it when it is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    with sigterm_as_interrupt():
        plan = make_plan(arguments)
        folder = StudyFolder(options.out or Path("runs", f"study-{plan.study.name}"), plan.study)
        state = State(plan, folder, any_code=options.any_code)
        if options.is_dry:
            _tell(state, options)
            return
        if not options.draws_only:
            check_names(plan)
        with folder.claim():
            out.progress = state.words
            if not options.draws_only:
                run_missing(state, options)
            results = collect(plan, folder, state.settled)
            found = write_all(folder.path, results)
    _answer(state, results, found)


def run_missing(state: State, options: Options) -> None:
    """Run all cells that are not settled; one that fails loses only itself."""
    use_app()
    from simulations.study.cells import Job
    from simulations.study.pool import Failure

    plan = state.plan
    traced = trace_of(plan)
    workers, work_off = _workers(plan, options)
    clock = Clock(_seconds(state), workers)
    left = plan.outlook(state.settled)
    with cell_progress(len(state.settled), left, clock, is_quiet=options.is_quiet, stream=sys.stderr) as say:

        def jobs() -> Iterator[Job]:
            open_cells = plan.open_cells(state.settled)
            return (Job(cell, plan.config(cell).to_json(), _place(cell) == traced) for cell in open_cells)

        def settle(job: Job, outcome: dict[str, Any] | Failure) -> None:
            cell = job.cell
            if isinstance(outcome, Failure):
                state.settle(cell, None, outcome.reason)
                told = f"failed: {outcome.reason}"
            else:
                row = state.settle(cell, outcome)
                clock.add(cell.setting, row["seconds"])
                score = row["validation"] if cell.tunes else row["score"]
                told = f"{'no score' if score is None else f'{score:.3f}'} ({row['seconds']:.0f} s)"
            say(f"{cell.label}: {told}", plan.outlook(state.settled))

        work_off(jobs, run_one, settle)


def run_one(job: Any) -> dict[str, Any]:
    """Run a cell where this is called: in a worker process, or on a machine of a cluster."""
    use_app()
    from simulations.study.cells import run_cell

    return run_cell(job)


def trace_of(plan: Plan) -> tuple[str, str, int]:
    """Setting, method and seed of the run that is kept round by round."""
    trace, study_ = plan.study.trace, plan.study
    setting = trace.setting or next(iter(study_.settings))
    return setting, trace.method or study_.reference, study_.seeds[0] if trace.seed is None else trace.seed


def _place(cell: Cell) -> tuple[str, str, int] | None:
    return None if cell.tunes else (cell.setting, cell.method, cell.seed)


def _workers(plan: Plan, options: Options) -> tuple[int, Callable[..., None]]:
    """How many cells run at a time, as far as it is known, and who runs them."""
    uses_gpu = any(plan.any_config(setting, method).training.device == "cuda" for method, setting in plan.places())
    if options.ray is not None:
        from simulations.study.on_ray import work_off_on_ray

        on_ray = partial(work_off_on_ray, workers=options.workers, address=options.ray, gpus=1.0 if uses_gpu else 0.0)
        return options.workers or os.cpu_count() or 1, on_ray
    from simulations.study.pool import work_off

    devices = _devices() if uses_gpu else []
    workers = options.workers or (len(devices) if devices else os.cpu_count() or 1)
    return workers, partial(work_off, workers=workers, devices=devices)


def _devices() -> list[str]:
    """The GPUs to deal out."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]


def _seconds(state: State) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in state.settled.values():
        found.setdefault(row["setting"], []).append(float(row["seconds"]))
    return found


def write_all(folder: Path, results: Results) -> Findings:
    """Tables, figures and page; what they show."""
    from fedmce.study.output import findings, write_tables

    found = findings(results)
    write_tables(folder, results, found)
    from fedmce.report.study_draw import draw_study

    draw_study(folder, results, found)
    return found


def _tell(state: State, options: Options) -> None:
    plan = state.plan
    left = plan.outlook(state.settled)
    study_ = plan.study
    typer.echo(
        f"study {study_.name}: {len(study_.methods)} methods x {len(study_.settings)} settings x {len(study_.seeds)} seeds"
    )
    if study_.tuning:
        runs = len(plan.combinations(study_.reference)) * len(study_.tuning.seeds)
        typer.echo(f"tuning: up to {runs} runs per method and {study_.tuning.per}")
    typer.echo(f"cells: {len(state.settled)} done, {sum(left.values())} to do")
    for setting, number in left.items():
        typer.echo(f"  {setting}: {number}")
    rest = Clock(_seconds(state), options.workers or os.cpu_count() or 1).left(left)
    if rest is not None:
        typer.echo(f"about {duration(rest)}, at the pace of the cells that are done")
    typer.echo(f"folder: {state.folder.path}")


def _answer(state: State, results: Results, found: Findings) -> None:
    from fedmce.study.summary import brief

    typer.echo(brief(results, found.bars, found.unpaired))
    summary = state.folder.path / "summary.md"
    typer.echo(f"\nreport: {state.folder.path / 'report.html'}\ntables: {summary}, {state.folder.path / 'table.csv'}")
    failed = sum(row["status"] == "failed" for row in state.settled.values())
    if failed:
        raise RunError(f"{failed} cells failed; the reasons are in {summary}. the same command tries them again")
    if found.unpaired:
        raise RunError(f"{len(found.unpaired)} runs are no pairs and were left out of the comparisons; see {summary}")
