"""What an objective shares over the federation beside the model: prototypes, control variates, a second model.

An objective that shares nothing has no entry here. The server keeps one set of arrays, gives each site the
part that it can use, and folds in what accepted sites tell; the gate checks names and shapes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fedmce.models import NetworkSpec, State
from fedmce.objectives.objective import Arrays
from fedmce.registry import registrar

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Said:
    """What one accepted site returned in a round.

    Attributes:
        arrays: what its objective told.
        update: the components that it trained.
        rows: rows behind each of them.
    """

    arrays: Arrays
    update: State
    rows: Mapping[str, int]


class SharedRule(Protocol):
    """Arrays of the federation: float32, by name."""

    def initial(self, config: Any, spec: NetworkSpec, model: State) -> Arrays:
        """What the server starts with."""
        ...

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """The part for a site that holds these modalities."""
        ...

    def told(self, config: Any, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """Names and shapes of what a site must tell.

        Args:
            config: section of the objective.
            spec: the network.
            granted: shape per parameter key that the site returns.
        """
        ...

    def merge(
        self, config: Any, spec: NetworkSpec, arrays: Arrays, said: Mapping[str, Said], holders: Mapping[str, int]
    ) -> Arrays:
        """The next arrays of the server.

        Args:
            config: section of the objective.
            spec: the network.
            arrays: as they are.
            said: accepted replies by site; fold them in by sorted names.
            holders: sites of the whole federation that are granted each component.
        """
        ...


SHARED: dict[str, SharedRule] = {}
# name of an objective -> what it shares
shared = registrar(SHARED, "shared arrays of objective")
