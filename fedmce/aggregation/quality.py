"""Smoothed, shrunk and clipped contribution ratios: what ``contribution`` weighting multiplies rows with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Pair = tuple[float, float]
LEAST_EXPECTED = 0.01  # per row; below this the pool itself gets nothing from the modality and a ratio means nothing


@dataclass(frozen=True)
class QualityState:
    """Exponential means of (own, expected) contribution per site and modality, carried over rounds."""

    sums: dict[str, dict[str, Pair]] = field(default_factory=dict)

    def updated(self, fresh: Mapping[str, Mapping[str, Pair]], smoothing: float) -> QualityState:
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
        return QualityState(merged)


def quality(
    state: QualityState, rows: Mapping[str, Mapping[str, int]], *, shrink_rows: float, clip_low: float, clip_high: float
) -> dict[str, dict[str, float]]:
    """Ratio per site and modality, shrunk to 1 with few rows and clipped.

    Args:
        state: smoothed sums.
        rows: training rows that hold the modality, per site and modality.
        shrink_rows: q = 1 + (ratio - 1) * rows / (rows + shrink_rows).
        clip_low: smallest ratio: a site is never silenced by a claim alone.
        clip_high: largest ratio.
    """
    found: dict[str, dict[str, float]] = {}
    for site, pairs in state.sums.items():
        found[site] = {}
        for modality, (own, expected) in pairs.items():
            count = rows.get(site, {}).get(modality, 0)
            known = count > 0 and expected / count > LEAST_EXPECTED
            ratio = own / expected if known else 1.0
            shrunk = 1.0 + (ratio - 1.0) * count / (count + shrink_rows) if count else 1.0
            found[site][modality] = min(max(shrunk, clip_low), clip_high)
    return found
