"""Samples of unknown class, as read from a file and before any model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import unknown
from fedmce.errors import DataError

SHOWN = 10


@dataclass(frozen=True)
class Input:
    """What the model takes of one modality: its name, kind and the shape of one sample."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Entries of one sample."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Samples:
    """Rows to predict.

    Attributes:
        sample_ids: one text per row.
        features: float32 ``(rows, *shape)`` per modality of the file, raw data set units, NaN = hole.
        available: bool ``(rows, modalities)`` in model order; True = there.
    """

    sample_ids: tuple[str, ...]
    features: dict[str, npt.NDArray[np.float32]]
    available: npt.NDArray[np.bool_]


def inputs(spec: dict[str, Any]) -> tuple[Input, ...]:
    """The modalities of a model's ``spec``, in its order."""
    return tuple(Input(m["name"], m["kind"], tuple(m["shape"])) for m in spec["modalities"])


def samples(
    path: Path,
    known: Sequence[Input],
    arrays: dict[str, npt.NDArray[Any]],
    sample_ids: Sequence[str] | None = None,
    available: npt.NDArray[np.bool_] | None = None,
) -> Samples:
    """Check arrays and put them together.

    Args:
        path: the file, for messages.
        known: what the model takes.
        arrays: numbers ``(rows, *shape)`` per modality; others are absent from all rows.
        sample_ids: one per row; default ``0, 1, ...``.
        available: bool ``(rows, modalities)``; default all that ``arrays`` hold. Rows of NaN only are absent.

    Raises:
        DataError: every problem of the file in one message.
    """
    names = [modality.name for modality in known]
    problems = [f"{unknown('modality', name, names)}" for name in arrays if name not in names]
    problems += [p for m in known if m.name in arrays for p in _array_problems(m, arrays[m.name])]
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        problems.append(f"rows per modality {counts}; needed the same number in all")
    rows = next(iter(counts.values()), 0)
    if not rows:
        problems.append(f"no rows; needed at least one row of any of {', '.join(names)}")
    if sample_ids is not None and len(sample_ids) != rows:
        problems.append(f"sample_ids: {len(sample_ids)} given; needed {rows}, one per row")
    if available is not None and (available.dtype != np.bool_ or available.shape != (rows, len(names))):
        problems.append(f"available: {available.dtype} {available.shape} given; needed bool ({rows}, {len(names)})")
    if problems:
        raise refused(path, problems)
    ids = tuple(sample_ids) if sample_ids is not None else tuple(map(str, range(rows)))
    return _gated(path, known, ids, {name: _float32(array) for name, array in arrays.items()}, available)


def refused(path: Path, problems: Sequence[str]) -> DataError:
    """All problems of a file as one error, the first few in full."""
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return DataError(f"{path}: {'; '.join(problems[:SHOWN])}{more}")


def _array_problems(modality: Input, array: npt.NDArray[Any]) -> list[str]:
    needed = f"(rows, {', '.join(map(str, modality.shape))})"
    if array.dtype.kind not in "fiub":
        return [f"{modality.name}: entries of type {array.dtype} given; needed numbers {needed}"]
    if array.shape[1:] != modality.shape or array.ndim == 0:
        return [f"{modality.name}: shape {array.shape} given; needed {needed}"]
    infinite = np.isinf(_float32(array)).reshape(len(array), modality.size).any(axis=1)
    rows = [int(row) + 1 for row in np.flatnonzero(infinite)]
    return [f"{modality.name}, row {row}: infinite or beyond float32; needed finite numbers or NaN" for row in rows]


def _float32(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _gated(
    path: Path,
    known: Sequence[Input],
    ids: tuple[str, ...],
    features: dict[str, npt.NDArray[np.float32]],
    available: npt.NDArray[np.bool_] | None,
) -> Samples:
    present = np.zeros((len(ids), len(known)), dtype=bool)
    for column, modality in enumerate(known):
        if modality.name in features:
            present[:, column] = ~np.isnan(features[modality.name]).reshape(len(ids), modality.size).all(axis=1)
        elif available is not None and available[:, column].any():
            row = int(available[:, column].argmax())
            raise refused(path, [f"row {row + 1}: available says {modality.name} is there; the file has no such array"])
    present = present if available is None else present & available
    if (nothing := np.flatnonzero(~present.any(axis=1))).size:
        raise refused(
            path, [f"row {row + 1} ({ids[row]}): nothing there; needed at least one modality" for row in nothing]
        )
    return Samples(ids, features, present)
