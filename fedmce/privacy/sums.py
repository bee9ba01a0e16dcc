"""Sums behind the normalisation, as a site may tell them: means of enough rows, to a few digits.

A sum and its count tell a row that is alone, and a mean of integers to full precision tells the count behind it.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from fedmce.config.privacy import PrivacyConfig
from fedmce.data.dataset import Modality
from fedmce.models import EntrySums, FeatureSums
from fedmce.privacy.counts import rounded

Floats = npt.NDArray[np.float64]


def told_sums(sums: FeatureSums, modality: Modality, floors: PrivacyConfig) -> FeatureSums:
    """Sums with counts rounded down, mean and standard deviation to ``metric_digits``; zeros below ``k_min`` rows.

    Args:
        sums: of the observed entries of the site's training rows.
        modality: says how many entries of a row go into one sum.
        floors: of the site.
    """
    if floors.is_open:
        return sums
    count = _counts(sums.count, prod(modality.shape) / max(prod(modality.statistics_shape), 1), floors)
    real = np.maximum(sums.count, 1.0)
    mean = sums.total / real
    std = np.sqrt(np.maximum(sums.square / real - mean**2, 0.0))
    told_mean, told_std = to_digits(mean, std, floors), to_digits(std, std, floors)
    return FeatureSums(told_mean * count, (told_mean**2 + told_std**2) * count, count)


def told_entries(entries: EntrySums, sums: FeatureSums, floors: PrivacyConfig) -> EntrySums:
    """The same for every entry by itself; ``sums`` of the same rows say how fine a mean may be."""
    if floors.is_open:
        return entries
    real = np.maximum(sums.count, 1.0)
    std = np.sqrt(np.maximum(sums.square / real - (sums.total / real) ** 2, 0.0))
    count = _counts(entries.count, 1.0, floors)
    mean = to_digits(entries.total / np.maximum(entries.count, 1.0), np.broadcast_to(std, count.shape), floors)
    return EntrySums(mean * count, count)


def to_digits(value: Floats, scale: Floats, floors: PrivacyConfig) -> Floats:
    """Values to ``metric_digits`` digits of their scale; a scale of 0 stands for the value's own size."""
    if floors.metric_digits is None:
        return value
    size = np.where(scale > 0, scale, np.abs(value))
    with np.errstate(divide="ignore"):
        power = np.where(size > 0, np.floor(np.log10(np.where(size > 0, size, 1.0))), 0.0)
    quantum = 10.0 ** (power + 1 - floors.metric_digits)
    rounded_value: Floats = np.round(value / quantum) * quantum
    return rounded_value


def _counts(count: Floats, per_row: float, floors: PrivacyConfig) -> Floats:
    rows = np.floor(count / max(per_row, 1.0)).astype(np.int64)
    told = np.array([rounded(int(n), floors) for n in rows.ravel()], dtype=np.float64).reshape(count.shape)
    return told * per_row
