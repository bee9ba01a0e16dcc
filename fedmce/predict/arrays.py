"""Samples from an ``.npz`` file without pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.errors import DataError
from fedmce.predict.samples import Input, Samples, refused, samples


def read_npz(path: Path, known: Sequence[Input]) -> Samples:
    """Read arrays named by modality ``(rows, *shape)``, with optional ``available`` and ``sample_ids``.

    Args:
        path: the file.
        known: what the model takes, in its order, which is the order of ``available``'s columns.

    Raises:
        DataError: not such a file, or arrays that the model cannot take.
    """
    arrays = _arrays(path)
    ids = arrays.pop("sample_ids", None)
    if ids is not None and (ids.ndim != 1 or ids.dtype.kind not in "Uiu"):
        raise refused(path, [f"sample_ids: {ids.dtype} {ids.shape} given; needed one text or whole number per row"])
    available = arrays.pop("available", None)
    return samples(path, known, arrays, None if ids is None else [str(entry) for entry in ids], available)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: no readable .npz ({error}); needed arrays named by modality, without pickle"
        ) from None
