"""What the server has committed: the global model and the smoothed contributions, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fedmce.aggregation import NormHistory, QualityState
from fedmce.config.schema import RunConfig
from fedmce.models import MultimodalNet, NetworkSpec, State, state_of
from fedmce.objectives import SHARED
from fedmce.objectives.objective import Arrays


@dataclass(frozen=True)
class GlobalState:
    """State after ``round`` rounds; a new object per round, never changed in place.

    Attributes:
        round: rounds committed, void ones included.
        model: every component, also those that nobody holds.
        quality: smoothed contributions of sites.
        shared: what the objective shares beside the model.
        optimiser: what the server optimiser remembers, per component.
        personal: what a site is sent in place of the common state, by site; empty with ``rule=mean``.
        norms: how far holders moved each component in its last rounds (``NormHistory.to_json``).
    """

    round: int
    model: State
    quality: QualityState = field(default_factory=QualityState)
    shared: Arrays = field(default_factory=dict)
    optimiser: dict[str, Arrays] = field(default_factory=dict)
    personal: dict[str, State] = field(default_factory=dict)
    norms: NormHistory = field(default_factory=NormHistory)


def first_state(config: RunConfig, spec: NetworkSpec) -> GlobalState:
    """What the server starts from: initial values from the seed, the same for every method.

    Harmony's stage 1 has unimodal networks and no fusion: what a residual fusion adds to the unimodal logits starts
    at 0, so that a site without stage 2 answers with its heads alone.
    """
    model = state_of(MultimodalNet(spec, seed=config.seed))
    if config.aggregation.rule == "harmony":
        model |= {key: np.zeros_like(value) for key, value in model.items() if key.startswith("fusion/out.")}
    rule = SHARED.get(config.objective.name)
    return GlobalState(0, model, shared=rule.initial(config.objective, spec, model) if rule else {})
