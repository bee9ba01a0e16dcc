"""From accepted replies to the next global state: weights, means, untouched components kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedmce.aggregation import (
    WEIGHTINGS,
    QualityState,
    compared_quality,
    quality,
    saturated,
    server_step,
    weighted_mean,
)
from fedmce.config.schema import AggregationConfig, RunConfig
from fedmce.contributions import Tally, pooled_tally, standardised, value_bounds
from fedmce.models import State, modality_of, select
from fedmce.objectives import SHARED
from fedmce.objectives.objective import Arrays
from fedmce.objectives.shared import Said
from fedmce.personal import in_second_stage
from server.gate import Accepted
from server.personal import fusion_by_cluster, mixed_by_attention
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
    errors = {site: tally.standard_errors(names, empty) for site, tally in tallies.items()}
    clip_low, clip_high = config.clip_low, config.clip_high
    if config.belief == "between":
        ratios = compared_quality(state, errors, clip_low=clip_low, clip_high=clip_high)
    else:
        low, high = value_bounds(roster.value)
        ratios = quality(
            state,
            state.rows,
            shrink_rows=config.shrink_rows,
            clip_low=clip_low,
            clip_high=clip_high,
            variance=(high - low) ** 2 / 4,
        )
    return Insight(
        contributions=whole.contributions(names, empty),
        standard_errors=whole.standard_errors(names, empty),
        by_site={site: tally.contributions(names, empty) for site, tally in tallies.items()},
        standard_errors_by_site=errors,
        quality=ratios,
        state=state,
    )


@dataclass(frozen=True)
class Step:
    """What a round's replies lead to.

    Attributes:
        state: the next state.
        weights: per component and site.
        personal: what the record says of states per site; empty with ``rule=mean``.
    """

    state: GlobalState
    weights: dict[str, dict[str, float]]
    personal: dict[str, Any] = field(default_factory=dict)


def aggregate(
    state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, config: RunConfig, insight: Insight
) -> Step:
    """Average each component over the accepted sites that trained it, take the server's step, mix states per site.

    A component that no accepted reply trained stays bitwise as it was, and so does what the server optimiser
    remembers of it. In Harmony's stage 2 the common model stays as stage 1 left it.
    """
    shared = _merged(state, accepted, roster, config)
    fresh = replace(state, round=state.round + 1, quality=insight.state, shared=shared)
    if in_second_stage(config, fresh.round):
        personal, log = fusion_by_cluster(state.personal, shared, accepted, config)
        return Step(replace(fresh, personal=personal), {}, log)
    model, optimiser, weights = _means(state, accepted, roster, config.aggregation, insight)
    fresh = replace(fresh, model=model, optimiser=optimiser)
    if config.aggregation.rule == "fedmsplit":
        personal, log = mixed_by_attention(state.personal, accepted)
        return Step(replace(fresh, personal=personal), weights, log)
    return Step(fresh, weights)


def _means(
    state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, told: AggregationConfig, insight: Insight
) -> tuple[State, dict[str, Arrays], dict[str, dict[str, float]]]:
    """Next model, what the server optimiser remembers, and weights."""
    model, optimiser = dict(state.model), dict(state.optimiser)
    weights: dict[str, dict[str, float]] = {}
    for component in roster.components:
        rows = {s: r.rows[component] for s, r in sorted(accepted.items()) if r.rows.get(component, 0) > 0}
        if not rows:
            continue
        weights[component] = WEIGHTINGS[_rule(told, component)](
            _counted(told, component, rows, roster),
            _ratios(told, component, rows, accepted, insight),
        )
        mean = weighted_mean({site: select(accepted[site].update, [component]) for site in rows}, weights[component])
        stepped, kept = server_step(told.server, select(model, [component]), mean, optimiser.get(component, {}))
        model |= stepped
        if kept:
            optimiser[component] = kept
    return model, optimiser, weights


def _counted(config: AggregationConfig, component: str, rows: Mapping[str, int], roster: Roster) -> dict[str, float]:
    """What the rows of each site count for."""
    counted = {site: saturated(count, config.saturation_rows) for site, count in rows.items()}
    if modality_of(component) is None and config.fusion_counts == "pairs":
        return {site: count * roster.pairs_per_row(site) for site, count in counted.items()}
    return counted


def _rule(config: AggregationConfig, component: str) -> str:
    # Fusion belongs to no modality, so no contribution speaks for it: rows alone.
    return "samples" if modality_of(component) is None and config.weighting == "contribution" else config.weighting


def _ratios(
    config: AggregationConfig,
    component: str,
    rows: Mapping[str, int],
    accepted: Mapping[str, Accepted],
    insight: Insight,
) -> dict[str, float]:
    """What a rule multiplies with per site: quality of the modality, or the entropy that the site told."""
    if config.weighting == "inverse_entropy":
        return {site: float(accepted[site].told["entropy"]) for site in rows}
    modality = modality_of(component)
    return {site: insight.quality.get(site, {}).get(modality or "", 1.0) for site in rows}


def _merged(state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, config: RunConfig) -> Arrays:
    """Shared arrays after this round."""
    if config.objective.name not in SHARED:
        return state.shared
    said = {site: Said(reply.told, reply.update, reply.rows) for site, reply in sorted(accepted.items())}
    rule = SHARED[config.objective.name]
    return rule.merge(config.objective, roster.spec, state.shared, said, roster.holders)
