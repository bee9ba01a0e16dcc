"""One component and the states that its holders returned: joined by the mean or the robust rule, and logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedmce.aggregation import (
    NormHistory,
    by_group,
    change_norms,
    combine,
    limited_step,
    norm_group,
    weighted_mean,
)
from fedmce.config.schema import AggregationConfig
from fedmce.models import State

Norms = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Joined:
    """One component after its holders were joined.

    Attributes:
        state: the mean, or what the robust rule gives.
        weights: what each holder counted for; equal where the rule does not read them.
        log: of the robust rule, for the record; empty with rule=mean.
        limits: tau per group; empty with rule=mean.
    """

    state: State
    weights: dict[str, float]
    log: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)


def join(
    component: str,
    old: State,
    states: Mapping[str, State],
    weights: dict[str, float],
    norms: Norms,
    history: NormHistory,
    config: AggregationConfig,
) -> Joined:
    """Join the holders of a component.

    Args:
        component: its name.
        old: as it was sent.
        states: as each holder returned it.
        weights: of the holders.
        norms: of their changes, group -> site.
        history: norms of earlier rounds.
        config: the robust rule.
    """
    if config.robust.rule == "mean":
        return Joined(weighted_mean(states, weights), weights)
    limits = {group: history.limit(group, config.robust) for group in {norm_group(key) for key in old}}
    combined = combine(config.robust, old, states, weights, limits, norms)
    plan = combined.plan
    log: dict[str, Any] = {"rule": plan.name, "holders": len(states), "norms": norms.get(component, {})}
    if plan.clips:
        cut = [factors for _, factors in sorted(combined.cut.items())]
        sites = sorted({site for factors in cut for site in factors})
        log |= {"limit": limits.get(component), "cut": {s: min(f.get(s, 1.0) for f in cut) for s in sites}}
    if plan.trimmed:
        log["trimmed"] = plan.trimmed
    if len(states) == 2:  # nobody can tell which of two lies; a person may see that they differ
        first, second = (states[site] for site in sorted(states))
        log["apart"] = change_norms(first, second).get(component, 0.0)
    if plan.reduction != "mean":
        weights = {site: 1.0 / len(weights) for site in sorted(weights)}
    return Joined(combined.state, weights, log, limits)


def change_by_group(old: State, states: Mapping[str, State]) -> Norms:
    """Norm of each holder's change, group -> site."""
    return by_group({site: change_norms(old, state) for site, state in states.items()})


def within_step(joined: Joined, old: State, stepped: State) -> State:
    """A server optimiser's step, no longer than the robust rule allows; noted in the log."""
    if not joined.limits:
        return stepped
    limited, factors = limited_step(old, stepped, joined.limits)
    if factors:
        joined.log["step_cut"] = min(factors.values())
    return limited
