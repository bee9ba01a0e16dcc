"""Rows that a site keeps out of training for the whole run, to measure contributions on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fedmce.missingness import ObservedRows
from fedmce.subsets import pattern_codes


def heldout_rows(rows: ObservedRows, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Numbers of the rows to keep out: a share of each availability pattern, as far as its rows allow.

    Rows are put in order of their pattern, at random within it, and taken at equal distances from a random
    start: a systematic sample, so every pattern gives its share to within a row and the total is kept even
    where every row has a pattern of its own. Of fewer than two rows none is taken.
    """
    count = min(max(round(share * rows.rows), 1), rows.rows - 1) if rows.rows > 1 else 0
    if not count:
        return np.zeros(0, dtype=np.int64)
    order = np.lexsort((rng.random(rows.rows), pattern_codes(rows.available)))
    steps = (rng.random() + np.arange(count)) * rows.rows / count
    return np.sort(order[np.minimum(steps.astype(np.int64), rows.rows - 1)])


def take_rows(rows: ObservedRows, chosen: npt.NDArray[np.int64]) -> ObservedRows:
    """These rows alone, with a copy of their values alone."""
    available = rows.available[chosen]
    values = {
        name: found[rows.slot[chosen[available[:, column]], column]]
        for column, (name, found) in enumerate(rows.values.items())
    }
    slot = np.where(available, np.cumsum(available, axis=0) - 1, -1).astype(np.int64)
    ids = tuple(rows.sample_ids[row] for row in chosen)
    return replace(rows, sample_ids=ids, targets=rows.targets[chosen], available=available, values=values, slot=slot)


def without(rows: ObservedRows, sample_ids: tuple[str, ...]) -> ObservedRows:
    """All rows but these samples."""
    gone = set(sample_ids)
    return take_rows(rows, np.array([i for i, name in enumerate(rows.sample_ids) if name not in gone], dtype=np.int64))
