"""Scores as sums and counts per subset: what may travel and add up, division last.

A cell is ``[numerator, denominator]``. ``accuracy``: hits / rows. ``recall:c``: hits / rows of class c.
``auc``: concordant pairs (ties count half) / pairs of a positive and a negative row *of one site*.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Cells = dict[str, dict[int, list[float]]]
COMPLETED = "completed:"


def concordance(score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Mann-Whitney U: pairs where the positive row scores higher (ties half), and all pairs."""
    ordered = np.sort(score[~positive])
    below = np.searchsorted(ordered, score[positive], side="left")
    below_or_equal = np.searchsorted(ordered, score[positive], side="right")
    return float((below + below_or_equal).sum() / 2), float(positive.sum()) * float((~positive).sum())


def completed(cells: Cells) -> Cells:
    """The same cells under names of their own: scores with completed tokens travel and stand apart."""
    return {COMPLETED + metric: by_subset for metric, by_subset in cells.items()}


def split_completed(cells: Cells) -> tuple[Cells, Cells]:
    """Cells of plain predictions, and of those with completed tokens."""
    plain = {metric: by_subset for metric, by_subset in cells.items() if not metric.startswith(COMPLETED)}
    apart = {m.removeprefix(COMPLETED): by_subset for m, by_subset in cells.items() if m.startswith(COMPLETED)}
    return plain, apart


def score_sums(
    subset: npt.NDArray[np.int64], probability: npt.NDArray[np.float64], target: npt.NDArray[np.int64]
) -> Cells:
    """Cells of one site's (row, subset) pairs.

    Args:
        subset: code per pair ``(pairs,)``.
        probability: ``(pairs, classes)``.
        target: class of the pair's row ``(pairs,)``.

    Returns:
        metric -> subset code -> [numerator, denominator].
    """
    classes = probability.shape[1]
    hit = probability.argmax(axis=1) == target
    metrics = ["accuracy", *(f"recall:{c}" for c in range(classes)), *(["auc"] if classes == 2 else [])]
    codes, place = np.unique(subset, return_inverse=True)
    counts = np.bincount(place * classes + target, minlength=len(codes) * classes).reshape(-1, classes)
    hits = np.bincount(place * classes + target, hit, minlength=len(codes) * classes).reshape(-1, classes)
    cells: Cells = {metric: {} for metric in metrics}
    for at, code in enumerate(codes.tolist()):
        cells["accuracy"][code] = [float(hits[at].sum()), float(counts[at].sum())]
        for c in range(classes):
            cells[f"recall:{c}"][code] = [float(hits[at, c]), float(counts[at, c])]
        if classes == 2:
            here = place == at
            cells["auc"][code] = list(concordance(probability[here, 1], target[here] == 1))
    return cells


def add_cells(parts: Mapping[str, Cells]) -> Cells:
    """Sum of the sites' cells, in order of site names."""
    total: Cells = {}
    for site in sorted(parts):
        for metric, by_subset in parts[site].items():
            for code, (numerator, denominator) in by_subset.items():
                cell = total.setdefault(metric, {}).setdefault(code, [0.0, 0.0])
                cell[0] += numerator
                cell[1] += denominator
    return total


def ratio(cell: list[float] | None) -> float | None:
    """Numerator / denominator, None where there is nothing to divide by."""
    return cell[0] / cell[1] if cell and cell[1] > 0 else None
