"""Engines: the same apps, in this process or under Flower's simulation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmce.config.schema import RunConfig
from fedmce.data.folders import is_elsewhere
from fedmce.errors import ConfigError
from fedmce.folders.plan import planned
from fedmce.objectives.python import check_objective
from fedmce.scope import nodes
from server.referee import check_measurable
from server.settings import write_config

if TYPE_CHECKING:
    from server.committed.taking_up import TakenUp


def take_up(config: RunConfig, folder: Path, accept_rollback: bool = False) -> TakenUp:
    """Find the last committed round of a run and cut its record back to it; then :func:`run` goes on from there.

    Args:
        config: of the run, with what may change changed.
        folder: of the run.
        accept_rollback: go on from an older round if the newest is damaged or gone.

    Raises:
        StateError: the run kept no state, or it is held, damaged or of another plan; nothing was changed.
    """
    from server.committed.taking_up import take_up as taken

    return taken(folder, planned(config), accept_rollback)


def run(config: RunConfig, folder: Path, observer: Callable[[dict[str, Any]], None]) -> None:
    """Run a federation and leave its record in ``folder``.

    Args:
        config: the checked configuration.
        folder: made here; must not exist, be empty, or hold a run that :func:`take_up` has found sound.
        observer: gets every row of the record as it is written.

    Raises:
        FedMCEError: the run failed; ``record.jsonl`` ends with the reason.
        KeyboardInterrupt: passed on after the record was closed.
    """
    import fedmce.data as data

    if config.engine.name == "deployed":
        raise ConfigError("engine: given deployed, which `fedmce server up` starts; needed inprocess or flower here")
    if config.training.compile:
        from fedmce.training import check_compiler

        check_compiler(config.training.device)
    check_objective(config)
    if is_elsewhere(config.dataset):
        raise ConfigError("dataset.path: nothing given; needed the folder that holds the site folders, in a simulation")
    config = planned(config)
    dataset = data.dataset_of(config)
    check_measurable(dataset, config)
    sites = nodes(config, dataset.sites)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder)
    if config.engine.name == "flower":
        from simulations.engines import flower

        flower.run(config, folder, observer, sites)
    else:
        from simulations.engines import inprocess

        inprocess.run(config, folder, observer, sites)
