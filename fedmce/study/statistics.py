"""Paired statistics of two methods over seeds, and ranks of several over data sets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 9999


@dataclass(frozen=True)
class Paired:
    """First minus second over pairs.

    Attributes:
        pairs: how many.
        difference: mean difference.
        low, high: its 95 % t interval; None with one pair.
        boot_low, boot_high: its 95 % bootstrap interval (bias-corrected and accelerated); None with one pair.
        t_p: two-sided p value of the paired t test; None with one pair.
        wilcoxon_p: two-sided p value of Wilcoxon's signed-rank test.
        wins: pairs in which the first is above the second.
    """

    pairs: int
    difference: float
    low: float | None
    high: float | None
    boot_low: float | None
    boot_high: float | None
    t_p: float | None
    wilcoxon_p: float | None
    wins: int


def paired(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare scores of the same seeds.

    Student's paired t test and interval; Wilcoxon's signed-rank test, exact where no difference ties (Wilcoxon,
    Individual comparisons by ranking methods, 1945); bootstrap after Efron, Better bootstrap confidence
    intervals, 1987, with a fixed seed.

    Args:
        first: one score per seed.
        second: scores of the same seeds in the same order.

    Raises:
        ValueError: no pair, or different numbers.
    """
    from scipy import stats

    if len(first) != len(second) or not first:
        raise ValueError(f"paired: given {len(first)} and {len(second)} scores; needed equal numbers, at least 1")
    difference = np.subtract(np.asarray(first, np.float64), np.asarray(second, np.float64))
    pairs, mean, wins = len(difference), float(difference.mean()), int((difference > 0).sum())
    if pairs < 2:
        return Paired(pairs, mean, None, None, None, None, None, None, wins)
    spread = float(difference.std(ddof=1))
    if spread <= 1e-12 * max(abs(mean), 1.0):  # nothing varies: no test says more than the number itself
        p = 1.0 if abs(mean) <= 1e-12 else 0.0
        return Paired(pairs, mean, mean, mean, mean, mean, p, _wilcoxon(difference), wins)
    half = float(stats.t.ppf(0.975, pairs - 1)) * spread / math.sqrt(pairs)
    t_p = float(stats.ttest_1samp(difference, 0.0).pvalue)
    low, high = _bootstrap(difference)
    return Paired(pairs, mean, mean - half, mean + half, low, high, t_p, _wilcoxon(difference), wins)


def _wilcoxon(difference: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    from scipy import stats

    if not difference.any():
        return 1.0
    with warnings.catch_warnings():
        # Few pairs with ties: scipy says that its normal approximation is rough, which the table's note says too.
        warnings.simplefilter("ignore")
        return float(stats.wilcoxon(difference).pvalue)


def _bootstrap(difference: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in ("BCa", "percentile"):  # the first is not defined where a jackknife mean never moves
            rng = np.random.default_rng(0)
            found = stats.bootstrap((difference,), np.mean, n_resamples=RESAMPLES, method=method, rng=rng)
            low, high = (float(end) for end in found.confidence_interval)
            if math.isfinite(low) and math.isfinite(high):
                break
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm, A simple sequentially rejective multiple test procedure, 1979).

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, (len(p_values) - rank) * p_values[at])
        adjusted[at] = min(1.0, highest)
    return adjusted


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % t interval of some runs; the ends are the mean itself with one."""
    from scipy import stats

    found = np.asarray(values, np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, len(found) - 1)) * float(found.std(ddof=1)) / math.sqrt(len(found))
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over blocks, 1 is best.

    Attributes:
        blocks: how many.
        mean: rank per method, best first.
        friedman_p: p value of Friedman's test that all are alike; None with fewer than three methods or two blocks.
        critical: Nemenyi's critical difference at 5 %; mean ranks that differ by less are not told apart.
    """

    blocks: int
    mean: dict[str, float]
    friedman_p: float | None
    critical: float


def ranks(scores: Mapping[str, Sequence[float]]) -> Ranks:
    """Rank methods over blocks (data sets, settings).

    Friedman's test and Nemenyi's critical difference q sqrt(k (k + 1) / (6 N)) as in Demšar, Statistical
    comparisons of classifiers over multiple data sets, 2006, section 3.2.2.

    Args:
        scores: per method one score per block, higher is better; ties share their mean rank.

    Raises:
        ValueError: fewer than two methods, or no block.
    """
    from scipy import stats

    table = np.array([scores[name] for name in scores], np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1:
        raise ValueError(f"ranks: given a table of shape {table.shape}; needed at least 2 methods and 1 block")
    methods, blocks = table.shape
    mean = stats.rankdata(-table, axis=0).mean(axis=1)
    order = sorted(zip(scores, mean.tolist(), strict=True), key=lambda pair: (pair[1], pair[0]))
    tested = methods > 2 and blocks > 1 and bool((table != table[0]).any())
    p = float(stats.friedmanchisquare(*table).pvalue) if tested else None
    q = float(stats.studentized_range.ppf(0.95, methods, np.inf)) / math.sqrt(2)
    return Ranks(blocks, dict(order), p, q * math.sqrt(methods * (methods + 1) / (6 * blocks)))
