"""The made federation as site folders, and runs in which nobody but a site has its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from client.workplace import open_workplace
from fedmce.config.schema import FoldersConfig, RunConfig
from fedmce.data import FederatedDataset
from fedmce.folders.exporting import export_sites
from fedmce.folders.plan import planned
from tests.server.made import made_config


def exported(folder: Path, dataset: FederatedDataset) -> Path:
    """Every site of the data set as a folder."""
    export_sites(folder, dataset, list(dataset.sites))
    return folder


def on_folders(path: Path, method: str = "fedmce", **changes: Any) -> RunConfig:
    """A small run on site folders."""
    section = FoldersConfig.model_validate({"path": str(path)}).model_dump()
    return made_config(method, dataset=section, **changes)


def elsewhere(config: RunConfig) -> RunConfig:
    """The same run for a server that has the plan alone."""
    told = planned(config)
    return told.model_copy(update={"dataset": told.dataset.model_copy(update={"path": None})})


def run_at_sites(config: RunConfig, path: Path, folder: Path) -> Path:
    """Run ``config``, whose rows lie at nodes that each open their own folder under ``path``."""
    from client.app import app
    from fedmce.flower_compat import identity
    from server.federation import federate
    from simulations.engines.inprocess import RUN_ID, InProcessGrid

    assert config.sites is not None
    open_workplace.cache_clear()
    folder.mkdir(parents=True)
    with identity(RUN_ID) as description:
        grid = InProcessGrid(app, len(config.sites), description)
        for site, context in zip(config.sites, grid._contexts.values(), strict=True):
            context.node_config = {"site": site, "folder": str(path / site)}
        federate(grid, config, folder)
    return folder
