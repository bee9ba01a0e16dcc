"""Calibration per subset: does the model know how sure it may be when modalities are missing?

Kept as sums, so that sites add up and no site's rows are needed to divide: torchmetrics has the same
numbers but keeps every row until the end (tests hold ours equal to its).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.metrics.tables import Tables, by_subset

BINS = 15
_ROWS, _CONFIDENCE, _HITS, _BRIER = range(4)


def calibration_sums(
    subset: npt.NDArray[np.int64], probability: npt.NDArray[np.float64], target: npt.NDArray[np.int64]
) -> Tables:
    """Per subset and bin of confidence: pairs, confidence, hits and squared errors.

    Confidence is the probability of the most probable class. Bin b holds [b/15, (b+1)/15); an answer
    that is certain to the last digit has a bin of its own, as in torchmetrics.

    Args:
        subset: code per pair ``(pairs,)``.
        probability: ``(pairs, classes)``.
        target: class of the pair's row ``(pairs,)``.

    Returns:
        Subset code -> float64 ``(4, BINS + 1)``.
    """
    confidence = probability.max(axis=1, initial=0.0)
    hit = (probability.argmax(axis=1) == target).astype(np.float64)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    # A softmax may exceed 1 in its last digit.
    slot = np.minimum(np.searchsorted(edges, confidence, side="right") - 1, BINS)
    right = probability[np.arange(len(target)), target]
    brier = np.square(probability).sum(axis=1) - 2 * right + 1
    return by_subset(subset, [(slot, np.ones_like(hit)), (slot, confidence), (slot, hit), (slot, brier)], BINS + 1)


def calibration_error(sums: npt.NDArray[np.float64] | None) -> float | None:
    """Expected calibration error: mean over rows of |accuracy - confidence| of the row's bin, in [0, 1].

    Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015; with the bins of Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        sums: of :func:`calibration_sums`, one subset's or added up.

    >>> four = by_subset(np.zeros(4, int), [(np.array([9, 9, 9, 9]), w) for w in np.array([[1.0] * 4, [0.6] * 4, [1, 1, 1, 0], [0.0] * 4])], 16)
    >>> round(calibration_error(four[0]), 6)
    0.15
    """
    if sums is None or not (rows := float(sums[_ROWS].sum())):
        return None
    return float(np.abs(sums[_HITS] - sums[_CONFIDENCE]).sum()) / rows


def brier_score(sums: npt.NDArray[np.float64] | None) -> float | None:
    """Mean over rows of sum over classes of (probability - truth)^2, from 0 (certain and right) to 2.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950, with all classes.

    Args:
        sums: of :func:`calibration_sums`, one subset's or added up.
    """
    if sums is None or not (rows := float(sums[_ROWS].sum())):
        return None
    return max(float(sums[_BRIER].sum()), 0.0) / rows
