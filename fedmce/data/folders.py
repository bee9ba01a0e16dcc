"""Own data as a data set: site folders under one path (:mod:`fedmce.folders`), or the plan where there is none."""

from __future__ import annotations

from pathlib import Path

from fedmce.config.folders import FoldersConfig
from fedmce.config.schema import DatasetConfig, RunConfig
from fedmce.data.dataset import FederatedDataset, dataset
from fedmce.errors import ConfigError


@dataset("folders")
def load(config: FoldersConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load every site folder under ``config.path``; neither ``data_dir`` nor ``seed`` is used.

    Raises:
        DataError: no folders, folders that do not agree, or one that is not as the format says.
    """
    # The room of folders uses the interface of this one, so it cannot be there before it.
    from fedmce.folders.dataset import folders_dataset

    return folders_dataset(config)


def is_elsewhere(config: DatasetConfig) -> bool:
    """The rows lie at sites, each of which opens its own folder."""
    return isinstance(config, FoldersConfig) and config.path is None


def on_disk(config: DatasetConfig) -> str:
    """What changes when files of the user's own do; empty for every other data set, whose files are checked."""
    from fedmce.folders.dataset import stamp

    return stamp(config) if isinstance(config, FoldersConfig) else ""


def without_rows(config: RunConfig) -> FederatedDataset:
    """The plan with the sites that the configuration names, for who holds no rows.

    Raises:
        ConfigError: no names, or a partition, which deals rows that nobody may gather.
    """
    from fedmce.folders.dataset import planned_dataset

    assert isinstance(config.dataset, FoldersConfig)
    if config.sites is None:
        raise ConfigError("sites: nothing given; needed the names of the sites, where each site opens its own folder")
    check_not_dealt(config)
    return planned_dataset(config.dataset, config.sites)


def check_not_dealt(config: RunConfig) -> None:
    """Refuse what needs the rows of all sites in one place."""
    if config.partition.name != "natural_sites":
        raise ConfigError(
            f"partition: given {config.partition.name}, where each site opens its own folder; needed natural_sites"
        )
    if config.scope == "pooled":
        raise ConfigError("scope: given pooled, where each site opens its own folder; needed sites")
    if config.contributions.source == "server":
        raise ConfigError("contributions.source: given server, which holds no rows here; needed received or heldout")
