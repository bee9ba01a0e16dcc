"""A site folder as the rows of a site: absent modalities NaN throughout, files of the folder opened for reading only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.folders import PlannedModality
from fedmce.data.dataset import SiteRows
from fedmce.errors import DataError
from fedmce.folders.layout import DTYPES, FolderModality, SiteFile, features_file
from fedmce.folders.media import decode
from fedmce.folders.places import inside
from fedmce.folders.table import Cells, read_samples

Values = npt.NDArray[np.float32]


def read_rows(folder: Path, site: SiteFile, plan: Sequence[PlannedModality]) -> SiteRows:
    """All rows of a site folder.

    Args:
        folder: the folder.
        site: its ``site.yaml``.
        plan: modalities in the order of columns; those that the site does not declare are absent in every row.

    Raises:
        DataError: a file of the folder is absent or not as the format says.
    """
    samples = read_samples(folder, site)
    rows = len(samples.sample_ids)
    available = np.zeros((rows, len(plan)), dtype=np.bool_)
    features = {m.name: np.full((rows, *m.shape), np.nan, dtype=np.float32) for m in plan}
    for column, planned in enumerate(plan):
        if planned.name not in site.modalities:
            continue
        modality, cells = site.modalities[planned.name], samples.cells[planned.name]
        there = np.array([cell is not None and cell != -1 for cell in cells], dtype=np.bool_)
        values = _values(folder, site, planned.name, cells, np.flatnonzero(there))
        _check_values(values, modality, np.flatnonzero(there), f"{folder}: modality {planned.name}", samples.sample_ids)
        features[planned.name][there] = values
        available[:, column] = there
    return SiteRows(site.site, samples.sample_ids, samples.targets, samples.split, features, available)


def _values(folder: Path, site: SiteFile, name: str, cells: Cells, rows: npt.NDArray[np.int64]) -> Values:
    """Samples of the rows that are there, float32 ``(present, *shape)``."""
    modality = site.modalities[name]
    if not len(rows):
        return np.zeros((0, *modality.shape), dtype=np.float32)
    if isinstance(cells, np.ndarray):
        return _from_array(features_file(folder, name), modality, cells[rows])
    paths = [inside(folder, str(cells[row]), allow_links=site.allow_links) for row in rows]
    return np.stack([decode(path, modality) for path in paths])


def _from_array(path: Path, modality: FolderModality, numbers: npt.NDArray[np.int64]) -> Values:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable ({error}); needed an array saved by np.save. export it again") from None
    # Another dtype than the declared one is cast; `fedmce site check` warns of it.
    if str(array.dtype) not in DTYPES or array.shape[1:] != modality.shape:
        raise DataError(
            f"{path}: {array.dtype} {array.shape}; needed {modality.dtype} {('rows', *modality.shape)} as in site.yaml"
        )
    if numbers.max() >= len(array):
        raise DataError(
            f"{path}: row number {numbers.max()} given; needed 0 to {len(array) - 1}, or nothing for absent. "
            "correct the table, or export the array again"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is then named
        found: Values = array[numbers].astype(np.float32)
    return found


def _check_values(
    values: Values, modality: FolderModality, rows: npt.NDArray[np.int64], where: str, ids: Sequence[str]
) -> None:
    wrong = np.isinf(values) if modality.holes else ~np.isfinite(values)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        raise DataError(
            f"{where}, sample {ids[rows[first[0]]]!r}: {values[tuple(first)]} at {first[1:].tolist()}; needed "
            "finite numbers. leave the cell of an absent modality empty; where NaN stands for an entry that was not "
            "recorded, set holes: true"
        )
