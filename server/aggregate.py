"""From accepted replies to the next global state: weights, means, untouched components kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedmce.aggregation import WEIGHTINGS, QualityState, quality, saturated, weighted_mean
from fedmce.config.schema import AggregationConfig
from fedmce.contributions import contributions, pooled, standardised_sums
from fedmce.models import modality_of, select
from server.gate import Accepted
from server.roster import Roster
from server.state import GlobalState


@dataclass(frozen=True)
class Insight:
    """What a round's value tables say of the model as received.

    Attributes:
        contributions: Shapley value per modality, pooled over the sites' training rows.
        by_site: the same from each site's own rows; None where the site lacks the modality.
        quality: ratio per site and modality that ``contribution`` weighting multiplies rows with.
        state: smoothed sums to carry on.
    """

    contributions: dict[str, float | None]
    by_site: dict[str, dict[str, float | None]]
    quality: dict[str, dict[str, float]]
    state: QualityState


def read_contributions(
    accepted: Mapping[str, Accepted], roster: Roster, config: AggregationConfig, old: QualityState
) -> Insight:
    """Pool the sites' value tables and standardise each site against the pool."""
    tables = {site: accepted[site].values for site in sorted(accepted)}
    whole, names, empty = pooled(tables, len(roster.names)), roster.names, roster.empty_value
    state = old.updated(standardised_sums(tables, whole, names, empty), config.smoothing)
    rows = {site: profile.rows_by_modality for site, profile in roster.profiles.items()}
    ratios = quality(state, rows, shrink_rows=config.shrink_rows, clip_low=config.clip_low, clip_high=config.clip_high)
    by_site = {site: contributions(table, names, empty) for site, table in tables.items()}
    return Insight(contributions(whole, names, empty), by_site, ratios, state)


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
