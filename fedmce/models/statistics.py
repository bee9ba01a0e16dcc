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
    """Mean and standard deviation of one modality, float32, of ``modality.statistics_shape``.

    Attributes:
        mean: pooled mean.
        std: pooled standard deviation.
        blank: mean of each entry, of the shape of a sample; there where a blank sample stands in for an absent one.
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    blank: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class EntrySums:
    """Sum and count of each observed entry, float64, of the shape of a sample."""

    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]


def entry_sums(values: npt.NDArray[np.float32]) -> EntrySums:
    """Sums per entry over samples ``(rows, *shape)``; holes do not count."""
    return EntrySums(np.nansum(values.astype(np.float64), axis=0), np.isfinite(values).sum(axis=0).astype(np.float64))


def blank_sample(sums_by_site: Mapping[str, EntrySums], pooled: Statistics) -> npt.NDArray[np.float32]:
    """Federated mean of each entry: sum_k n_km mu_km / sum_k n_km, added up in order of site names.

    An entry that nobody observed gets the pooled mean.
    """
    ordered = [sums_by_site[site] for site in sorted(sums_by_site)]
    total, count = sum(part.total for part in ordered), sum(part.count for part in ordered)
    mean = np.where(count > 0, total / np.maximum(count, 1.0), pooled.mean)
    return mean.astype(np.float32)


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
