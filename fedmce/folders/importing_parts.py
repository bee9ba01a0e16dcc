"""One modality of an import: columns of a table, or an array with the ids of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.folders import AXES
from fedmce.errors import DataError
from fedmce.folders.layout import DTYPES, FolderModality
from fedmce.folders.table import Column
from fedmce.folders.write import Part

POOLED = {"image": (0, 1, 2), "spectrogram": (0, 2), "series": (1,), "tabular": ()}
KIND_OF = {1: "tabular", 2: "series", 3: "image"}  # by the axes of one sample


@dataclass(frozen=True)
class ArraySource:
    """An ``.npy`` file ``(rows, *shape)`` and a file of the ids of its rows.

    Attributes:
        path: the array.
        ids: an ``.npy`` of texts or whole numbers, or text with one id per line; None = in the order of the samples.
    """

    path: Path
    ids: Path | None = None


def table_part(
    where: str, ids: Sequence[str], features: Mapping[str, Column], samples: Sequence[str], notes: list[str]
) -> tuple[Part, FolderModality]:
    """Columns of a table as a tabular modality; a row whose cells are all empty is absent.

    Args:
        where: names the table in messages.
        ids: of the table's rows.
        features: columns of numbers.
        samples: ids of the folder's rows.
        notes: grows by what was left out.

    Raises:
        DataError: no column, or a cell that is no number.
    """
    if not features:
        raise DataError(f"{where}: no column besides id, target and split; needed one at least")
    values = np.stack([_numbers(cells, f"{where}, column {name!r}") for name, cells in features.items()], axis=1)
    there, picked = _joined(values, ids, samples, where, notes)
    described = {"kind": "tabular", "shape": (len(features),), "units": "; ".join(features)}
    modality = FolderModality.model_validate(described | {"holes": bool(np.isnan(picked).any())})
    return Part(there, picked.astype(np.float32)), modality


def _numbers(cells: Column, where: str) -> npt.NDArray[np.float64]:
    found = np.full(len(cells), np.nan)
    for at, cell in enumerate(cells):
        try:
            found[at] = np.nan if cell is None or str(cell).strip() == "" else float(cell)
        except (TypeError, ValueError):
            raise DataError(
                f"{where}, row {at + 1}: {cell!r} is no number; needed numbers, or nothing where none was recorded. "
                "write words as numbers, one column of 0 and 1 for each"
            ) from None
        if np.isinf(found[at]):
            raise DataError(f"{where}, row {at + 1}: {cell!r}; needed a finite number, or nothing")
    return found


def array_part(
    source: ArraySource, samples: Sequence[str], kind: str | None, notes: list[str]
) -> tuple[Part, FolderModality]:
    """An array as a modality; a row that is NaN throughout is absent.

    Args:
        source: files of the array and of the ids of its rows.
        samples: ids of the folder's rows.
        kind: None = by the number of axes: tabular, series (channels, steps), image (channels, height, width).
        notes: grows by what was changed or left out.

    Raises:
        DataError: no such array, one that does not fit the kind, or ids that do not fit the array.
    """
    values = _load(source.path)
    if kind is not None and kind not in AXES:
        raise DataError(f"{source.path}: kind {kind!r}; needed one of {', '.join(AXES)}")
    chosen = kind or KIND_OF.get(max(values.ndim - 1, 1))
    if chosen is None:
        raise DataError(f"{source.path}: {values.shape}; needed rows and one to three axes of a sample")
    if values.ndim == AXES[chosen]:  # one channel, or one feature, without an axis of its own
        values = values[:, None]
    if values.ndim != AXES[chosen] + 1 or min(values.shape) < 1:
        raise DataError(
            f"{source.path}: {values.shape}; needed rows and {AXES[chosen]} axes of a sample of kind {chosen}, none of "
            "them empty"
        )
    ids = _array_ids(source, len(values), samples)
    there, picked = _joined(values, ids, samples, str(source.path), notes)
    if str(picked.dtype) not in DTYPES:
        notes.append(f"{source.path}: {picked.dtype} is stored as float32")
        picked = picked.astype(np.float32)
    modality = FolderModality.model_validate(
        {
            "kind": chosen,
            "shape": values.shape[1:],
            "pooled_axes": POOLED[chosen],
            "dtype": str(picked.dtype),
            "holes": bool(picked.dtype.kind == "f" and np.isnan(picked).any()),
        }
    )
    return Part(there, picked), modality


def _load(path: Path) -> npt.NDArray[Any]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable ({error}); needed an array saved by np.save") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise DataError(f"{path}: holds no plain numbers; needed one array of them, saved by np.save")
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def _array_ids(source: ArraySource, rows: int, samples: Sequence[str]) -> list[str]:
    if source.ids is None:
        if rows != len(samples):
            raise DataError(
                f"{source.path}: {rows} rows for {len(samples)} samples; needed as many, or the ids of its rows. "
                "write --array NAME=ARRAY.npy:IDS.npy"
            )
        return list(samples)
    try:
        if source.ids.suffix == ".npy":
            ids = [str(cell) for cell in np.load(source.ids, allow_pickle=False).ravel().tolist()]
        else:
            ids = [line.strip() for line in source.ids.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{source.ids}: not readable ({error}); needed ids, as .npy or one per line") from None
    if len(ids) != rows or len(set(ids)) != rows:
        raise DataError(f"{source.ids}: {len(ids)} ids for {rows} rows of {source.path}; needed one each, no id twice")
    return ids


def _joined(
    values: npt.NDArray[Any], ids: Sequence[str], samples: Sequence[str], where: str, notes: list[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """Which samples are there, and their values in the order of the samples."""
    place = {name: at for at, name in enumerate(ids)}
    if strangers := len(set(place) - set(samples)):
        notes.append(f"{where}: {strangers} rows of ids without a target were left out")
    row = np.array([place.get(name, -1) for name in samples], dtype=np.int64)
    found = np.asarray(values[row[row >= 0]])
    if not len(found):
        raise DataError(
            f"{where}: shares no id with the samples; needed the same ids. samples begin with {samples[0]!r}"
        )
    there = row >= 0
    if values.dtype.kind == "f":
        filled = ~np.isnan(found.reshape(len(found), -1)).all(axis=1)
        there[np.flatnonzero(there)[~filled]] = False
        found = found[filled]
    return there, np.ascontiguousarray(found)
