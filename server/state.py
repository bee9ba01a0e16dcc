"""What the server has committed: the global model and the smoothed contributions, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedmce.aggregation import QualityState
from fedmce.models import State
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
    """

    round: int
    model: State
    quality: QualityState = field(default_factory=QualityState)
    shared: Arrays = field(default_factory=dict)
    optimiser: dict[str, Arrays] = field(default_factory=dict)
    personal: dict[str, State] = field(default_factory=dict)
