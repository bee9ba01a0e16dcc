"""Sums per subset that are arrays: they add up over sites, rows and subsets, whatever they count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Tables = dict[int, npt.NDArray[np.float64]]
"""Subset code -> sums; all arrays of one table have one shape."""
Score = Callable[[npt.NDArray[np.float64] | None], float | None]
"""What is made of sums in the end; None of no sums."""


def add_tables(parts: Mapping[str, Tables]) -> Tables:
    """Sum of the sites' tables, in order of site names; no part is changed."""
    total: Tables = {}
    for site in sorted(parts):
        for code, sums in parts[site].items():
            total[code] = total[code] + sums if code in total else sums.copy()
    return total


def pooled_table(tables: Tables) -> npt.NDArray[np.float64] | None:
    """Sums over all (row, subset) pairs; None if there are none."""
    return np.sum([tables[code] for code in sorted(tables)], axis=0) if tables else None


def by_subset(
    subset: npt.NDArray[np.int64], sums: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]], size: int
) -> Tables:
    """Weighted counts per subset: one line of ``size`` slots for each (slot, weight) of the pairs.

    Args:
        subset: code per pair ``(pairs,)``.
        sums: per line the slot of each pair, int64 ``(pairs,)``, and what it adds there, float64 ``(pairs,)``.
        size: number of slots.

    Returns:
        Subset code -> float64 ``(lines, size)``.
    """
    codes, place = np.unique(subset, return_inverse=True)
    lines = [np.bincount(place * size + slot, weight, minlength=len(codes) * size) for slot, weight in sums]
    stacked = np.stack([line.reshape(-1, size) for line in lines], axis=1)
    return dict(zip(codes.tolist(), stacked, strict=True))
