"""From accepted replies to the next global state: weights, means, untouched components kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedmce.aggregation import WEIGHTINGS, QualityState, quality, saturated, weighted_mean
from fedmce.config.schema import AggregationConfig
from fedmce.contributions import Tally, pooled_tally, standardised, value_bounds
from fedmce.models import modality_of, select
from server.gate import Accepted
from server.roster import Roster
from server.state import GlobalState


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
    tallies: Mapping[str, Tally], roster: Roster, config: AggregationConfig, old: QualityState
) -> Insight:
    """Pool the sites' tallies (at least one) and standardise each site against the pool."""
    whole, names, empty = pooled_tally(tallies), roster.names, roster.empty_value
    rows = {site: tally.rows(names) for site, tally in tallies.items()}
    state = old.updated(standardised(tallies, whole, names, empty), config.smoothing, rows)
    low, high = value_bounds(roster.value)
    ratios = quality(
        state,
        state.rows,
        shrink_rows=config.shrink_rows,
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        variance=(high - low) ** 2 / 4,
    )
    return Insight(
        contributions=whole.contributions(names, empty),
        standard_errors=whole.standard_errors(names, empty),
        by_site={site: tally.contributions(names, empty) for site, tally in tallies.items()},
        standard_errors_by_site={site: tally.standard_errors(names, empty) for site, tally in tallies.items()},
        quality=ratios,
        state=state,
    )


def aggregate(
    state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, config: AggregationConfig, insight: Insight
) -> tuple[GlobalState, dict[str, dict[str, float]]]:
    """Average each component over the accepted sites that trained it.

    Returns:
        The next state and the weights per component and site. A component that no accepted reply
        trained stays bitwise as it was.
    """
    model, weights = dict(state.model), {}
    for component in roster.components:
        rows = {s: r.rows[component] for s, r in sorted(accepted.items()) if r.rows.get(component, 0) > 0}
        if not rows:
            continue
        modality = modality_of(component)
        # Fusion belongs to no modality, so no contribution speaks for it: rows alone.
        rule = "samples" if modality is None and config.weighting == "contribution" else config.weighting
        ratios = {site: insight.quality.get(site, {}).get(modality or "", 1.0) for site in rows}
        counted = {site: saturated(count, config.saturation_rows) for site, count in rows.items()}
        weights[component] = WEIGHTINGS[rule](counted, ratios)
        model |= weighted_mean({site: select(accepted[site].update, [component]) for site in rows}, weights[component])
    return GlobalState(state.round + 1, model, insight.state), weights
