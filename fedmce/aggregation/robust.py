"""Rules over the holders of one component that bear some of them sending false updates.

Clipping the size of a change: Sun et al., "Can you really backdoor federated learning?", arXiv 1911.07963.
Coordinate-wise median and trimmed mean: Yin et al., "Byzantine-robust distributed learning", ICML 2018, definitions 1
and 2. Everything in float64 over sites sorted by name, in blocks of entries, cast once: beside the replies no more than
holders x one block is held, and the order of arrival changes no bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Literal

import numpy as np
import numpy.typing as npt

from fedmce.aggregation.mean import Arrays
from fedmce.aggregation.norms import blocks, change_norms, norm_group
from fedmce.aggregation.server_optimiser import is_parameter
from fedmce.config.trust import RobustConfig

Floats = dict[str, npt.NDArray[np.float32]]
Matrix = npt.NDArray[np.float64]
Reduction = Literal["mean", "median", "trimmed"]
NEEDED = 3  # holders without which a majority among the others is one site
ROUNDING = 1e-9  # 0.29 x 100 is 28.999999999999996
STEP_LIMIT = 5.0  # of a server optimiser: longest step, in limits of the component


@dataclass(frozen=True)
class Plan:
    """What a rule does with so many holders.

    Attributes:
        name: ``mean``, ``clip``, ``median``, ``trimmed``, ``clip_median`` or ``clip_trimmed``.
        reduction: how values are joined; ``mean`` is the only one that reads weights.
        clips: changes are cut to the limit first.
        trimmed: values dropped at each end.
    """

    name: str
    reduction: Reduction
    clips: bool
    trimmed: int = 0


def plan_for(config: RobustConfig, holders: int) -> Plan:
    """The rule for a component with ``holders`` accepted holders.

    median and trimmed need three; with fewer a change is clipped, never silently averaged. trimmed drops
    max(1, floor(trim H)) per end and keeps at least one value, since trim < 1/2.
    """
    if config.rule == "mean":
        return Plan("mean", "mean", clips=False)
    if config.rule == "clip" or holders < NEEDED:
        return Plan("clip", "mean", clips=True)
    clips = config.rule.startswith("clip_")
    if config.rule.endswith("median"):
        return Plan(config.rule, "median", clips)
    return Plan(config.rule, "trimmed", clips, max(1, floor(config.trim * holders + ROUNDING)))


@dataclass(frozen=True)
class Combined:
    """What came of the holders of one component.

    Attributes:
        state: parameter -> float32 array.
        plan: the rule that was used.
        cut: group -> site -> factor below 1 that its change was scaled by; without sites that were left as they came.
    """

    state: Floats
    plan: Plan
    cut: dict[str, dict[str, float]]


def combine(
    config: RobustConfig,
    old: Arrays,
    states: Mapping[str, Arrays],
    weights: Mapping[str, float],
    limits: Mapping[str, float],
    norms: Mapping[str, Mapping[str, float]] | None = None,
) -> Combined:
    """Join the component's states at its holders by the robust rule.

    Args:
        config: the rule.
        old: the component before the round, parameter -> array.
        states: site -> parameter -> array; equal keys and shapes, finite. May be mapped from files: one parameter of
            each site is touched at a time.
        weights: per site, not negative; read where the rule ends in a mean.
        limits: group -> tau, the largest norm of a change (:func:`fedmce.aggregation.norms.norm_group`); read where
            the rule clips.
        norms: group -> site -> norm of the change; worked out where not given.

    Returns:
        With ``clip`` and nobody beyond the limit the weighted mean, to the bit.
    """
    plan, sites = plan_for(config, len(states)), sorted(states)
    if norms is None and plan.clips:
        norms = by_group({site: change_norms(old, states[site]) for site in sites})
    cut = _factors(norms or {}, limits) if plan.clips else {}
    share = np.array([weights[site] for site in sites], dtype=np.float64) if plan.reduction == "mean" else None
    joined = {}
    for key in states[sites[0]]:
        arrays = [np.asarray(states[site][key]) for site in sites]
        factors = [cut.get(norm_group(key), {}).get(site, 1.0) for site in sites]
        joined[key] = _join(plan, np.asarray(old[key]), arrays, factors, share)
    return Combined(joined, plan, cut)


def by_group(norms: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Site -> group -> norm, turned to group -> site -> norm."""
    turned: dict[str, dict[str, float]] = {}
    for site in sorted(norms):
        for group, norm in norms[site].items():
            turned.setdefault(group, {})[site] = norm
    return turned


def _factors(norms: Mapping[str, Mapping[str, float]], limits: Mapping[str, float]) -> dict[str, dict[str, float]]:
    cut = {
        group: {site: limits[group] / norm for site, norm in by_site.items() if norm > limits[group]}
        for group, by_site in norms.items()
    }
    return {group: factors for group, factors in cut.items() if factors}


def _join(
    plan: Plan,
    old: npt.NDArray[np.float32],
    arrays: list[npt.NDArray[np.float32]],
    factors: list[float],
    share: Matrix | None,
) -> npt.NDArray[np.float32]:
    """One parameter of all holders."""
    joined = np.empty(old.shape, dtype=np.float32)
    out, start = joined.reshape(-1), old.reshape(-1)
    flat = [array.reshape(-1) for array in arrays]
    for part in blocks(out.size):
        values = np.empty((out[part].size, len(flat)), dtype=np.float64)  # holders last: they are sorted per entry
        base = start[part].astype(np.float64)
        for column, (array, factor) in enumerate(zip(flat, factors, strict=True)):
            # A change within the limit keeps its bits: old + (new - old) need not be new.
            values[:, column] = array[part] if factor == 1.0 else base + factor * (array[part] - base)
        out[part] = _reduce(plan, values, share)
    return joined


def _reduce(plan: Plan, values: Matrix, share: Matrix | None) -> Matrix:
    """One number per entry, of ``(entries, holders)`` values."""
    holders = values.shape[1]
    total: Matrix = np.zeros(len(values))
    if share is not None:
        if holders == 1:
            return values[:, 0]
        for column in range(holders):  # in order of names, as the plain mean adds
            total += share[column] * values[:, column]
        total /= sum(share.tolist())
        return total
    values.sort(axis=1)
    if plan.reduction == "median":
        return (values[:, (holders - 1) // 2] + values[:, holders // 2]) / 2
    kept = values[:, plan.trimmed : holders - plan.trimmed]
    for column in range(kept.shape[1]):
        total += kept[:, column]
    total /= kept.shape[1]
    return total


def limited_step(old: Arrays, new: Floats, limits: Mapping[str, float]) -> tuple[Floats, dict[str, float]]:
    """Shorten a server optimiser's step to ``STEP_LIMIT`` times the limit of each group.

    Args:
        old: the component before the step.
        new: after it.
        limits: group -> tau.

    Returns:
        The component, and the factor below 1 per group that was shortened. Statistics are no steps and stay.
    """
    norms = change_norms(old, {key: value for key, value in new.items() if is_parameter(key)})
    factors = {
        group: STEP_LIMIT * limits[group] / norm for group, norm in norms.items() if norm > STEP_LIMIT * limits[group]
    }
    stepped = dict(new)
    for key, value in new.items():
        if (factor := factors.get(norm_group(key))) is not None:  # none of a statistic: it is a group by itself
            base = np.asarray(old[key]).astype(np.float64)
            stepped[key] = np.asarray(base + factor * (value - base), dtype=np.float32)
    return stepped, factors
