"""A site folder written from arrays: only present samples are stored, an empty cell is an absence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import FederatedDataset, SiteRows
from fedmce.errors import ConfigError
from fedmce.folders.layout import (
    FEATURES,
    ID,
    SAMPLES,
    SPLIT,
    SPLITS,
    TARGET,
    FolderModality,
    SiteFile,
    features_file,
)

IN_TABLE = {split: name for name, split in SPLITS.items()}  # in a data set -> in the table


@dataclass(frozen=True)
class Part:
    """One modality of some rows.

    Attributes:
        there: rows that hold it, bool ``(rows,)``.
        values: of these rows, ``(present, *shape)``, of a dtype that a folder may hold.
    """

    there: npt.NDArray[np.bool_]
    values: npt.NDArray[Any]


def check_new(folder: Path) -> Path:
    """Refuse a folder that cannot be a new one; nothing is made.

    Raises:
        ConfigError: it is a file, or holds something: nothing is ever written over.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there and not empty; needed a new or empty folder. nothing was written")
    return folder


def new_folder(folder: Path) -> Path:
    """The folder, made if it was not there.

    Raises:
        ConfigError: it is a file, or holds something.
    """
    folder = check_new(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a site's data are nobody else's business
    return folder


def write_folder(
    folder: Path,
    site: SiteFile,
    sample_ids: Sequence[str],
    targets: Sequence[str],
    split: Sequence[str],
    parts: Mapping[str, Part],
) -> Path:
    """Write ``site.yaml``, ``samples.parquet`` and ``features/``.

    Args:
        folder: new or empty.
        site: what ``site.yaml`` says.
        sample_ids: one per row.
        targets: name of the class per row.
        split: ``train``, ``val`` or ``test`` per row.
        parts: per modality of ``site``; one that no row holds gets no file.

    Raises:
        ConfigError: the folder is not empty.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = new_folder(folder)
    (folder / FEATURES).mkdir()
    columns = {ID: pa.array(sample_ids, pa.string()), TARGET: pa.array(targets, pa.string())}
    columns[SPLIT] = pa.array(split, pa.string())
    for name in site.modalities:
        there = parts[name].there
        if there.any():
            np.save(features_file(folder, name), np.ascontiguousarray(parts[name].values), allow_pickle=False)
        columns[name] = pa.array(np.cumsum(there) - 1, pa.int64(), mask=~there)
    pq.write_table(pa.table(columns), folder / SAMPLES[0], compression="zstd")
    site.write(folder)
    return folder


def write_site(folder: Path, data: FederatedDataset, rows: SiteRows, name: str, seen: npt.NDArray[np.bool_]) -> Path:
    """Write one site of a data set.

    Args:
        folder: new or empty.
        data: its modalities, classes and provenance.
        rows: of the site.
        name: of the site in ``site.yaml``.
        seen: what each row may show, bool ``(rows, modalities)``; within what the site recorded.

    Raises:
        ConfigError: the folder is not empty.
    """
    parts = {m.name: Part(seen[:, at], rows.features[m.name][seen[:, at]]) for at, m in enumerate(data.modalities)}
    modalities = {
        m.name: FolderModality.model_validate(
            {key: getattr(m, key) for key in ("kind", "shape", "units", "pooled_axes", "real")}
            | {"holes": bool(np.isnan(parts[m.name].values).any())}
        )
        for m in data.modalities
    }
    tree = {
        "site": name,
        "task": {"classes": data.task.classes, "metric": data.task.metric},
        "modalities": {key: modality.model_dump() for key, modality in modalities.items()},
        "provenance": data.provenance,
        "caution": data.caution,
    }
    site = SiteFile.from_tree(tree)
    classes, splits = data.task.classes, [IN_TABLE[text] for text in rows.split.tolist()]
    return write_folder(folder, site, rows.sample_ids, [classes[n] for n in rows.targets], splits, parts)
