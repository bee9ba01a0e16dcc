"""What the server has committed: the global model and the smoothed contributions, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedmce.aggregation import QualityState
from fedmce.models import State


@dataclass(frozen=True)
class GlobalState:
    """State after ``round`` rounds; a new object per round, never changed in place.

    Attributes:
        round: rounds committed, void ones included.
        model: every component, also those that nobody holds.
        quality: smoothed contributions of sites.
    """

    round: int
    model: State
    quality: QualityState = field(default_factory=QualityState)
