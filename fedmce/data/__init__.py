"""The data room: every data set behind one interface.

``load_dataset(config, data_dir, seed)`` is the only door. Importing this package is light: numpy and the
standard library, nothing that reads a file.
"""

from __future__ import annotations

import threading
from pathlib import Path

from fedmce.config.schema import DatasetConfig, FoldersConfig, RunConfig
from fedmce.data import av_digits, folders, hapt, heart_disease, leaves100, sound_mnist  # noqa: F401  # register loaders
from fedmce.data.dataset import DATASETS, FederatedDataset, Modality, SiteRows, Split, Task
from fedmce.errors import ConfigError, DataError

__all__ = [
    "DATASETS",
    "FederatedDataset",
    "Modality",
    "SiteRows",
    "Split",
    "Task",
    "dataset_at",
    "dataset_of",
    "load_dataset",
]

_LOADED: dict[tuple[str, str, int], FederatedDataset] = {}
_CHANGED: dict[tuple[int, str, str, int], tuple[FederatedDataset, FederatedDataset]] = {}
CHANGED_KEPT = 16  # data sets with another partition or quality; a study of many would fill the memory
_LOCK = threading.Lock()


def load_dataset(config: DatasetConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load a data set, once per process for equal arguments.

    Args:
        config: the data set's section; its ``name`` chooses the loader.
        data_dir: folder that holds one folder per data set (``data_dir/sound_mnist/...``); None for
            embedded data.
        seed: root of splits and draws of rows.

    Returns:
        The data set. Its arrays are shared between callers and read-only: copy before changing.

    Raises:
        DataError: no such data set, or a file is absent, malformed or not the one promised.
    """
    if config.name not in DATASETS:
        raise DataError(f"data set {config.name!r}: not known; known: {', '.join(sorted(DATASETS))}")
    key = (
        config.model_dump_json() + folders.on_disk(config),
        "" if data_dir is None else str(Path(data_dir).expanduser().resolve()),
        seed,
    )
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = _locked(DATASETS[config.name](config, Path(key[1]) if key[1] else None, seed))
        return _LOADED[key]


def dataset_of(config: RunConfig) -> FederatedDataset:
    """The data set of a run: loaded, dealt to sites (``partition``), measured by its sensors (``quality``).

    Once per process for equal sections and seed; with ``natural_sites`` and ``clean`` it is what
    :func:`load_dataset` returns. Where each site opens its own folder (``dataset=folders`` without a path) it has the
    plan and the named sites, and no rows.

    Raises:
        DataError: as :func:`load_dataset`.
        ConfigError: partition or quality ask for what the data set does not have.
    """
    # Both rooms use the interface of this one, so they cannot be there before it.
    from fedmce.partition import partitioned
    from fedmce.quality import with_quality

    if folders.is_elsewhere(config.dataset):
        return folders.without_rows(config)
    loaded = load_dataset(config.dataset, Path(config.data_dir) if config.data_dir else None, config.seed)
    key = (id(loaded), config.partition.model_dump_json(), config.quality.model_dump_json(), config.seed)
    with _LOCK:
        if key not in _CHANGED:
            dealt = partitioned(loaded, config.partition, config.seed)
            if len(_CHANGED) >= CHANGED_KEPT:
                del _CHANGED[next(iter(_CHANGED))]
            # The loaded set is kept beside, so that no other object can get its id.
            _CHANGED[key] = (loaded, _locked(with_quality(dealt, config.quality, config.seed)))
        return _CHANGED[key][1]


def dataset_at(config: RunConfig, folder: Path) -> FederatedDataset:
    """The data set of a run as the owner of a site folder sees it: its own rows, the other sites without any.

    Args:
        config: with ``dataset=folders`` and the plan.
        folder: the site folder.

    Raises:
        ConfigError: another data set, or a choice that needs the rows of all sites in one place.
        DataError: the folder does not fit the plan or the format.
    """
    from fedmce.folders.dataset import site_dataset
    from fedmce.quality import with_quality

    if not isinstance(config.dataset, FoldersConfig):
        raise ConfigError(f"dataset: given {config.dataset.name}, for a site with a folder of its own; needed folders")
    folders.check_not_dealt(config)
    found = site_dataset(Path(folder), config.dataset, config.sites or ())
    return _locked(with_quality(found, config.quality, config.seed))


def _locked(data: FederatedDataset) -> FederatedDataset:
    for site in data.sites.values():
        for array in (site.targets, site.split, site.available, *site.features.values()):
            array.flags.writeable = False
    return data
