"""From accepted replies to the next global state: weights, means, untouched components kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedmce.aggregation import WEIGHTINGS, saturated, server_step
from fedmce.config.schema import AggregationConfig, RunConfig
from fedmce.models import State, component_of, modality_of
from fedmce.objectives import SHARED
from fedmce.objectives.objective import Arrays
from fedmce.objectives.shared import Said
from fedmce.personal import in_second_stage
from server.gate import Accepted
from server.insight import Insight
from server.joining import Norms, change_by_group, join, within_step
from server.personal import fusion_by_cluster, mixed_by_attention
from server.roster import Roster
from server.state import GlobalState
from server.trust import Claims, bounded_rows, used_claims, within_shares


@dataclass(frozen=True)
class Step:
    """What a round's replies lead to.

    Attributes:
        state: the next state.
        weights: per component and site.
        personal: what the record says of states per site; empty with ``rule=mean``.
        claims: what the sites' claims became, per modality and site; empty where weights rest on rows alone.
        robust: per component what the robust rule did, and shares that were capped; empty where nothing was guarded.
    """

    state: GlobalState
    weights: dict[str, dict[str, float]]
    personal: dict[str, Any] = field(default_factory=dict)
    claims: Claims = field(default_factory=dict)
    robust: dict[str, Any] = field(default_factory=dict)


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
    step = _joined(fresh, accepted, roster, config, insight)
    if config.aggregation.rule == "fedmsplit":
        personal, log = mixed_by_attention(state.personal, accepted)
        return replace(step, state=replace(step.state, personal=personal), personal=log)
    return step


def _joined(
    state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, config: RunConfig, insight: Insight
) -> Step:
    """Every component joined over its holders; ``state`` is the next one but for what this changes."""
    told = config.aggregation
    model, optimiser, norms = dict(state.model), dict(state.optimiser), Norms()
    weights: dict[str, dict[str, float]] = {}
    robust: dict[str, Any] = {}
    claims = used_claims(accepted, insight.quality, insight.by_site, roster, config)
    keys = _keys_by_component(model)
    for component in roster.components:
        rows = {s: r.rows[component] for s, r in sorted(accepted.items()) if r.rows.get(component, 0) > 0}
        if not rows:
            continue
        if len(rows) == 1 and config.privacy.single_holder == "freeze":
            robust[component] = {"rule": "frozen", "holders": 1}
            continue
        old = {key: model[key] for key in keys[component]}
        states = {s: {k: accepted[s].update[k] for k in old if k in accepted[s].update} for s in rows}
        changes = change_by_group(old, states) if told.rule == "mean" else {}
        weighed = WEIGHTINGS[_rule(told, component)](
            _counted(told, component, rows, roster), _ratios(told, component, rows, accepted, claims)
        )
        share = within_shares(weighed, component, roster, told)
        joined = join(component, old, states, share, changes, state.norms, told)
        stepped, kept = server_step(told.server, old, joined.state, optimiser.get(component, {}))
        model |= within_step(joined, old, stepped) if told.server.name != "none" else stepped
        weights[component] = joined.weights
        norms |= changes
        optimiser |= {component: kept} if kept else {}
        over = {site: value for site, value in weighed.items() if share[site] < value}
        if log := joined.log | ({"capped": over} if over else {}):
            robust[component] = log
    fresh = replace(state, model=model, optimiser=optimiser, norms=state.norms.updated(norms))
    return Step(fresh, weights, claims=claims, robust=robust)


def _keys_by_component(model: State) -> dict[str, list[str]]:
    """One pass over the model: a pass per component would make many components quadratic."""
    found: dict[str, list[str]] = {}
    for key in model:
        found.setdefault(component_of(key), []).append(key)
    return found


def _counted(config: AggregationConfig, component: str, rows: Mapping[str, int], roster: Roster) -> dict[str, float]:
    """What the rows of each site count for."""
    counted = {s: saturated(bounded_rows(count, config), config.saturation_rows) for s, count in rows.items()}
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
    claims: Claims,
) -> dict[str, float]:
    """What a rule multiplies with per site: quality of the modality, or divides by: the entropy that the site told."""
    found = claims.get(modality_of(component) or component, {})
    if config.weighting != "inverse_entropy":
        return {site: found[site].used if site in found else 1.0 for site in rows}
    if not config.claims.bounded:
        return {site: float(accepted[site].told["entropy"]) for site in rows}
    return {site: 1.0 / found[site].used for site in rows}


def _merged(state: GlobalState, accepted: Mapping[str, Accepted], roster: Roster, config: RunConfig) -> Arrays:
    """Shared arrays after this round."""
    if config.objective.name not in SHARED:
        return state.shared
    said = {site: Said(reply.told, reply.update, reply.rows) for site, reply in sorted(accepted.items())}
    rule = SHARED[config.objective.name]
    return rule.merge(config.objective, roster.spec, state.shared, said, roster.holders)
