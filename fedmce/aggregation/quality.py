"""Smoothed, shrunk and clipped contribution ratios: what ``contribution`` weighting multiplies rows with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Pair = tuple[float, float]
HIT_VARIANCE = 0.25  # largest variance of a value in [0, 1]


@dataclass(frozen=True)
class QualityState:
    """Exponential means of (own, expected) contribution per site and modality, carried over rounds.

    Attributes:
        sums: over the rows that they were measured on.
        rows: these rows, per site and modality, as last heard.
    """

    sums: dict[str, dict[str, Pair]] = field(default_factory=dict)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)

    def updated(
        self,
        fresh: Mapping[str, Mapping[str, Pair]],
        smoothing: float,
        rows: Mapping[str, Mapping[str, int]] | None = None,
        *,
        from_mean: bool = False,
    ) -> QualityState:
        """Fold in one round: ``smoothing`` of the old, the rest of the new; sites not heard keep theirs.

        A site that is heard for the first time starts at its own word, or (``from_mean``) at what is expected of it.
        """
        merged = {site: dict(pairs) for site, pairs in self.sums.items()}
        for site in sorted(fresh):
            mine = merged.setdefault(site, {})
            for modality, (own, expected) in fresh[site].items():
                old = mine.get(modality, (expected if from_mean else own, expected))
                mine[modality] = (
                    smoothing * old[0] + (1 - smoothing) * own,
                    smoothing * old[1] + (1 - smoothing) * expected,
                )
        return QualityState(merged, self.rows | {site: dict(counts) for site, counts in (rows or {}).items()})


def quality(
    state: QualityState,
    rows: Mapping[str, Mapping[str, int]],
    *,
    shrink_rows: float,
    clip_low: float,
    clip_high: float,
    variance: float = HIT_VARIANCE,
) -> dict[str, dict[str, float]]:
    """Ratio per site and modality, shrunk to 1 with few rows and clipped.

    Args:
        state: smoothed sums.
        rows: measured rows that hold the modality, per site and modality.
        shrink_rows: rows at which a ratio counts half.
        clip_low: smallest ratio: a site is never silenced by a claim alone.
        clip_high: largest ratio.
        variance: largest variance of a row's value: a quarter of its squared range.
    """
    found: dict[str, dict[str, float]] = {}
    for site, pairs in state.sums.items():
        found[site] = {}
        for modality, (own, expected) in pairs.items():
            count = rows.get(site, {}).get(modality, 0)
            ratio = believed_ratio(own, expected, count, shrink_rows, variance)
            found[site][modality] = min(max(ratio, clip_low), clip_high)
    return found


def believed_ratio(own: float, expected: float, rows: int, shrink_rows: float, variance: float = HIT_VARIANCE) -> float:
    """own / expected, pulled to 1 where few rows or a modality that gives little say little.

    1 + (own / expected - 1) times n / (n + shrink_rows) times n mu^2 / (n mu^2 + variance), with mu the expected
    contribution per row and 1/4 the variance of hits. The last factor compares the signal with the largest standard error that a mean
    of n hits can have: without it the ratio of two contributions near 0 is noise that moves weights.
    """
    if rows <= 0 or expected <= 0:
        return 1.0
    # Multiplied out, so that an expected contribution near 0 is not divided by.
    signal = expected / rows / (expected * expected / rows + variance)
    return 1.0 + (own - expected) * signal * rows / (rows + shrink_rows)


def compared_quality(
    state: QualityState,
    errors: Mapping[str, Mapping[str, float | None]],
    *,
    clip_low: float,
    clip_high: float,
    row_variance: float = HIT_VARIANCE,
    tolerance: float | None = None,
) -> dict[str, dict[str, float]]:
    """Ratio per site and modality, believed as far as the sites of a modality differ more than chance lets them.

    Random-effects shrinkage (DerSimonian and Laird 1986; Morris 1983): with d_k = (own_k - expected_k) / n_k, the
    variance s^2 of a row's contribution pooled over sites, and t^2 the variance of the true d_k between sites,

        ratio_k = 1 + t^2 / (t^2 + s^2 / n_k) d_k mu / (mu^2 + s^2 / N)

    mu is the mean contribution over all N rows. Where sites are alike t^2 is 0 and every ratio 1, whatever the noise;
    where some sensors are broken, t^2 is large and they are found with few rows.

    Args:
        state: smoothed sums and the rows behind them.
        errors: standard error of each site's contribution per row; None where it is not known.
        clip_low: smallest ratio: a site is never silenced by a claim alone.
        clip_high: largest ratio.
        row_variance: s^2 where no error is known: with errors left out, no site's word on its spread is believed.
        tolerance: see :func:`tolerated`.
    """
    found: dict[str, dict[str, float]] = {site: {} for site in state.sums}
    modalities = sorted({name for pairs in state.sums.values() for name in pairs})
    for modality in modalities:
        rows = {s: state.rows.get(s, {}).get(modality, 0) for s in sorted(state.sums) if modality in state.sums[s]}
        apart = {s: _difference(state.sums[s][modality], n) for s, n in rows.items()}
        told = {s: (n, errors.get(s, {}).get(modality)) for s, n in rows.items()}
        variance = _row_variance(told, row_variance)
        known = {s: n for s, n in rows.items() if n > 0}
        between = between_sites([apart[s] for s in known], [variance / n for n in known.values()])
        total = sum(known.values())
        mu = sum(state.sums[s][modality][1] for s in known) / total if total else 0.0
        scale = mu / (mu * mu + variance / total) if mu > 0 and total else 0.0
        for site, count in rows.items():
            belief = between / (between + variance / count) if count and between > 0 else 0.0
            ratio = tolerated(1.0 + belief * apart[site] * scale, tolerance)
            found[site][modality] = min(max(ratio, clip_low), clip_high)
    return found


def tolerated(ratio: float, tolerance: float | None) -> float:
    """A ratio with the benefit of the doubt.

    Sites differ for many reasons, and a sensor in order seldom gives less than half of the usual; a broken one gives next
    to nothing. So a ratio from ``tolerance`` to 1 counts as 1, and below it falls with the square:
    (ratio / tolerance)^2, continuous. None: as it is.
    """
    if tolerance is None or ratio >= 1.0:
        return ratio
    return 1.0 if ratio >= tolerance else (max(ratio, 0.0) / tolerance) ** 2


def _difference(pair: Pair, rows: int) -> float:
    return (pair[0] - pair[1]) / rows if rows else 0.0


def _row_variance(told: Mapping[str, tuple[int, float | None]], unknown: float) -> float:
    """Variance of one row's contribution within sites, pooled: few rows that agree by chance are not believed."""
    known = [(n, error) for n, error in told.values() if n > 1 and error is not None and math.isfinite(error)]
    rows = sum(n for n, _ in known)
    return sum(n * n * error * error for n, error in known) / rows if rows else unknown


def between_sites(estimates: Sequence[float], variances: Sequence[float]) -> float:
    """Variance of true values behind estimates with known errors (DerSimonian and Laird 1986, eq. 8), 0 at least.

    Args:
        estimates: one per site.
        variances: squared standard error of each, positive.
    """
    if len(estimates) < 2 or not all(v > 0 for v in variances):
        return 0.0
    weight = [1.0 / v for v in variances]
    total = sum(weight)
    centre = sum(w * x for w, x in zip(weight, estimates, strict=True)) / total
    spread = sum(w * (x - centre) ** 2 for w, x in zip(weight, estimates, strict=True))
    room = total - sum(w * w for w in weight) / total
    return max(0.0, (spread - (len(estimates) - 1)) / room)
