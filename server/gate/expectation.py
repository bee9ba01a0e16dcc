"""What an honest reply looks like, as the server writes it down when it sends a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ContributionsConfig
from fedmce.flower_compat import Message
from fedmce.models import component_of
from server.gate.due import DueSums
from server.roster import RowCounts

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Expectation:
    """What an honest reply of one site in one round looks like.

    Attributes:
        site: its name.
        round: number of the round.
        base: digest of the model part that was sent.
        config_sha256: of the configuration that was sent.
        train: an update is due.
        shapes: shape per parameter key that was granted.
        known: all parameter keys of the network.
        most_rows: most rows that can have trained each granted component.
        contributions: how they are measured; None where the site measures none.
        measured: rows that they are measured on, from the site's profile; None where it measures none.
        magnitude_limit: largest absolute value of a parameter.
        modalities: number of modalities of the data set.
        most_scored: per known metric the largest count that the site's validation rows (of a test: test rows) allow.
        told: shape per array that the objective tells beside the update.
        sent: the model part that was sent; a key that is not there has no change to look at.
        most_steps: of local training; None where nobody can know.
        floor: rows that must have trained a component.
        norm_limits: longest change per component; no limit where it is left out.
        claim_slack: what rounding at the site can do to a sum of values, per row.
        due: sums of test rows that the site alone holds; None where none are due.
    """

    site: str
    round: int
    base: str
    config_sha256: str
    train: bool
    shapes: Mapping[str, Shape]
    known: frozenset[str]
    most_rows: Mapping[str, int]
    contributions: ContributionsConfig | None
    measured: RowCounts | None
    magnitude_limit: float
    modalities: int
    most_scored: Mapping[str, int]
    told: Mapping[str, Shape] = field(default_factory=dict)
    sent: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    most_steps: int | None = None
    floor: int = 1
    norm_limits: Mapping[str, float] = field(default_factory=dict)
    claim_slack: float = 0.0
    due: DueSums | None = None

    @cached_property
    def granted(self) -> dict[str, list[str]]:
        """Keys of each granted component."""
        found: dict[str, list[str]] = {}
        for key in self.shapes:
            found.setdefault(component_of(key), []).append(key)
        return found


@dataclass(frozen=True)
class Sent:
    """One message of a round and what it should bring back."""

    message: Message
    expected: Expectation
