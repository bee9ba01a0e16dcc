"""Who has what in a folder: rows per modality, split, pattern and class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.folders.pass_ids import NAMES, Codes

NOTHING = "nothing"  # name of the pattern of a row without any modality


@dataclass(frozen=True)
class Counts:
    """Rows of a folder, counted.

    Attributes:
        modalities: in the order of ``site.yaml``.
        rows: per split.
        held: per modality and split, rows that hold it.
        patterns: per combination of modalities (names joined by ``+``, :data:`NOTHING` for none) and split, the
            most frequent first.
        classes: per class and split; empty for a regression.
    """

    modalities: tuple[str, ...]
    rows: dict[str, int]
    held: dict[str, dict[str, int]]
    patterns: dict[str, dict[str, int]]
    classes: dict[str, dict[str, int]]

    @property
    def missing(self) -> dict[str, float | None]:
        """Share of rows that lack a modality, over all splits; None without rows."""
        total = sum(self.rows.values())
        return {m: 1 - sum(by.values()) / total if total else None for m, by in self.held.items()}

    def to_json(self) -> dict[str, Any]:
        """The same as a tree, with missing rates."""
        return {
            "modalities": list(self.modalities),
            "rows": self.rows,
            "held": self.held,
            "missing": self.missing,
            "patterns": self.patterns,
            "classes": self.classes,
        }


def count(
    there: Mapping[str, npt.NDArray[np.bool_]], splits: Codes, numbers: Codes | None, classes: tuple[str, ...]
) -> Counts:
    """Count rows that belong to a split.

    Args:
        there: per modality, rows that hold it, bool ``(rows,)``.
        splits: place in :data:`NAMES`, -1 = none; such rows are not counted.
        numbers: class number per row, -1 = none; None for a regression.
        classes: names of the classes.
    """
    names = tuple(there)
    known = splits >= 0
    matrix = np.stack([there[n][known] for n in names], axis=1) if names else np.zeros((int(known.sum()), 0), bool)
    own = splits[known]
    patterns, place = _patterns(matrix)
    by = np.zeros((len(patterns), len(NAMES)), dtype=np.int64)
    np.add.at(by, (place, own), 1)
    order = np.lexsort((np.arange(len(patterns)), -by.sum(1)))
    of_class = {
        name: _per_split(own[numbers[known] == number])
        for number, name in enumerate(classes)
        if numbers is not None and (numbers[known] == number).any()
    }
    return Counts(
        modalities=names,
        rows=_per_split(own),
        held={name: _per_split(own[matrix[:, at]]) for at, name in enumerate(names)},
        patterns={_name(patterns[at], names): dict(zip(NAMES, by[at].tolist(), strict=True)) for at in order},
        classes=of_class,
    )


def _per_split(splits: Codes) -> dict[str, int]:
    return dict(zip(NAMES, np.bincount(splits, minlength=len(NAMES)).tolist(), strict=True))


def _patterns(matrix: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Distinct rows, and which of them each row is; packed, so that many modalities cost little."""
    if not matrix.shape[1]:
        return np.zeros((1 if len(matrix) else 0, 0), dtype=np.bool_), np.zeros(len(matrix), dtype=np.int64)
    packed = np.packbits(matrix, axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return matrix[first], place


def _name(pattern: npt.NDArray[np.bool_], names: tuple[str, ...]) -> str:
    return "+".join(name for name, held in zip(names, pattern, strict=True) if held) or NOTHING
