"""Smoothed, shrunk and clipped contribution ratios: what ``contribution`` weighting multiplies rows with."""

from __future__ import annotations

from collections.abc import Mapping
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
    ) -> QualityState:
        """Fold in one round: ``smoothing`` of the old, the rest of the new; sites not heard keep theirs."""
        merged = {site: dict(pairs) for site, pairs in self.sums.items()}
        for site in sorted(fresh):
            mine = merged.setdefault(site, {})
            for modality, (own, expected) in fresh[site].items():
                old = mine.get(modality, (own, expected))
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
