"""What a round's measured contributions say: pooled, standardised per site, believed as far as they can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedmce.aggregation import QualityState, compared_quality, quality
from fedmce.config.schema import AggregationConfig
from fedmce.contributions import Tally, class_factors, pooled_tally, standardised, value_bounds
from fedmce.contributions.tally import Scores
from fedmce.metrics import Cells
from server.roster import Roster


@dataclass(frozen=True)
class Insight:
    """What a round's tallies say of the modalities.

    Attributes:
        contributions: per modality, pooled over the rows that they are measured on.
        standard_errors: of these, over rows.
        by_site: the same from each site's own rows; None where the site lacks the modality.
        standard_errors_by_site: of these.
        quality: ratio per site and modality that ``contribution`` weighting multiplies rows with.
        state: smoothed sums to carry on.
    """

    contributions: dict[str, float | None]
    standard_errors: dict[str, float | None]
    by_site: dict[str, dict[str, float | None]]
    standard_errors_by_site: dict[str, dict[str, float | None]]
    quality: dict[str, dict[str, float]]
    state: QualityState


def read_contributions(
    tallies: Mapping[str, Tally],
    roster: Roster,
    config: AggregationConfig,
    old: QualityState,
    *,
    is_claim: bool = True,
    cells: Mapping[str, Cells] | None = None,
) -> Insight:
    """Pool the sites' tallies and standardise each site against the pool.

    Args:
        tallies: by site; there may be none where claims are bounded, since bad ones are dropped.
        roster: names and the value of nothing.
        config: how ratios are smoothed and believed.
        old: what earlier rounds left.
        is_claim: sites measured them, not the server. Where claims are bounded a site then starts at the mean, and its
            word on its own spread is not taken: the variance is the largest that rows can have.
        cells: what sites scored on their validation rows; recalls by class say what a mix of classes lets expect.
    """
    names, empty = roster.names, roster.empty_value
    doubted = config.claims.bounded and is_claim
    errors = {site: tally.standard_errors(names, empty) for site, tally in tallies.items()}
    if not tallies:
        nothing: Scores = dict.fromkeys(names)
        return Insight(nothing, nothing, {}, {}, _believed(old, {}, roster, config), old)
    whole = pooled_tally(tallies)
    rows = {site: tally.rows(names) for site, tally in tallies.items()}
    fresh = standardised(tallies, whole, names, empty)
    if config.belief == "between" and config.class_mix and cells:
        factors = class_factors(cells, {site: p.class_rows for site, p in roster.profiles.items()}, names)
        fresh = {
            site: {m: (own, expected * factors[site][m]) for m, (own, expected) in pairs.items()}
            for site, pairs in fresh.items()
        }
    state = old.updated(fresh, config.smoothing, rows, from_mean=doubted)
    return Insight(
        contributions=whole.contributions(names, empty),
        standard_errors=whole.standard_errors(names, empty),
        by_site={site: tally.contributions(names, empty) for site, tally in tallies.items()},
        standard_errors_by_site=errors,
        quality=_believed(state, {} if doubted else errors, roster, config),
        state=state,
    )


def _believed(
    state: QualityState, errors: Mapping[str, Scores], roster: Roster, config: AggregationConfig
) -> dict[str, dict[str, float]]:
    """Ratio per site and modality, as far as it is believed."""
    low, high = value_bounds(roster.value)
    limits = {"clip_low": config.clip_low, "clip_high": config.clip_high}
    variance = (high - low) ** 2 / 4  # largest that values in these bounds can have
    if config.belief == "bound":
        return quality(state, state.rows, shrink_rows=config.shrink_rows, variance=variance, **limits)
    if config.claims.bounded:
        return compared_quality(state, errors, row_variance=variance, tolerance=config.tolerance, **limits)
    return compared_quality(state, errors, tolerance=config.tolerance, **limits)
