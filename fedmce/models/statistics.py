"""Normalisation from a federated profile: sums and counts travel, rows do not.

Each site adds up its observed training entries; the server pools the sums in order of site names and
sends back mean and standard deviation. Hidden values, validation and test rows take no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import Modality


@dataclass(frozen=True)
class FeatureSums:
    """Sum, sum of squares and count of observed entries, float64, each of ``modality.statistics_shape``."""

    total: npt.NDArray[np.float64]
    square: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]

    def __add__(self, other: FeatureSums) -> FeatureSums:
        return FeatureSums(self.total + other.total, self.square + other.square, self.count + other.count)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of one modality, float32, of ``modality.statistics_shape``."""

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]


def feature_sums(values: npt.NDArray[np.float32], modality: Modality) -> FeatureSums:
    """Sums over observed samples ``(rows, *shape)``; NaN entries are holes and do not count."""
    axes = (0, *(axis + 1 for axis in modality.pooled_axes))
    wide = values.astype(np.float64)
    shape = modality.statistics_shape
    return FeatureSums(
        np.nansum(wide, axis=axes).reshape(shape),
        np.nansum(wide**2, axis=axes).reshape(shape),
        np.isfinite(wide).sum(axis=axes).astype(np.float64).reshape(shape),
    )


def pool(sums_by_site: Mapping[str, FeatureSums]) -> Statistics:
    """Mean and standard deviation over all sites, added up in order of site names.

    A column that nobody observed gets mean 0 and a column without spread standard deviation 1.
    """
    ordered = [sums_by_site[site] for site in sorted(sums_by_site)]
    whole = ordered[0]
    for part in ordered[1:]:
        whole = whole + part
    count = np.maximum(whole.count, 1.0)
    mean = whole.total / count
    variance = np.maximum(whole.square / count - mean**2, 0.0)
    std = np.sqrt(variance)
    return Statistics(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def normalise(values: npt.NDArray[np.float32], statistics: Statistics) -> npt.NDArray[np.float32]:
    """Standardise samples ``(rows, *shape)``; a hole (NaN) becomes 0, the pooled mean."""
    scaled: npt.NDArray[np.float32] = ((values - statistics.mean) / statistics.std).astype(np.float32)
    return np.where(np.isnan(scaled), np.float32(0), scaled)
