"""F1 per subset, from counts per class that add up over sites."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.metrics.tables import Tables, by_subset


def class_sums(
    subset: npt.NDArray[np.int64], probability: npt.NDArray[np.float64], target: npt.NDArray[np.int64]
) -> Tables:
    """Per subset and class: pairs of the class, pairs predicted as it, and both: margins and diagonal of the confusion.

    Args:
        subset: code per pair ``(pairs,)``.
        probability: ``(pairs, classes)``.
        target: class of the pair's row ``(pairs,)``.

    Returns:
        Subset code -> float64 ``(3, classes)``.
    """
    guess = probability.argmax(axis=1).astype(np.int64)
    one, hit = np.ones(len(target)), (guess == target).astype(np.float64)
    return by_subset(subset, [(target, one), (guess, one), (target, hit)], probability.shape[1])


def macro_f1(sums: npt.NDArray[np.float64] | None) -> float | None:
    """Mean over classes of F1 = 2 hits / (occurring + predicted), over classes that occur or are predicted.

    Truth and prediction may change places: F1 of a class is symmetric in them, its mean has no weights.

    Args:
        sums: of :func:`class_sums`, one subset's or added up.
    """
    if sums is None:
        return None
    occurring, predicted, hits = sums
    either = occurring + predicted
    known = either > 0
    return float((2 * hits[known] / either[known]).mean()) if known.any() else None
