"""What a node keeps from round to round: components that never leave it, and what its objective remembers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from client.workplace import Workplace
from fedmce.errors import WireError
from fedmce.flower_compat import RecordDict, array_record, arrays_of
from fedmce.models import MultimodalNet, State, component_of, modality_of, state_of
from fedmce.objectives.objective import Arrays
from fedmce.personal import kept_up

PRIVATE, OBJECTIVE = "private", "objective"


class Keeping:
    """Records of Flower's state of the node, under names of ours.

    Args:
        state: Flower's state; changed in place.
    """

    def __init__(self, state: RecordDict) -> None:
        self.state = state

    def of_objective(self) -> Arrays:
        """What the objective of this site wrote in earlier rounds."""
        return self._read(OBJECTIVE)

    def remember(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep what the objective wrote."""
        if arrays:
            self.state[OBJECTIVE] = array_record({k: np.asarray(v, dtype=np.float32) for k, v in arrays.items()})

    def with_private(self, model: State, place: Workplace, held: tuple[str, ...], round_number: int) -> State:
        """The received part and the site's own one.

        With ``private``, what never trained here starts as everywhere, from the seed. Harmony's sites start from what
        the server sends; whom it sends what a site would keep begins anew.

        Raises:
            WireError: the server left out what this node has lost.
        """
        keys = place.private_keys(kept_up(place.config, round_number))
        if not keys:
            return model
        start = state_of(MultimodalNet(place.spec, held, seed=place.config.seed))
        absent = [key for key in start if key in keys and key not in model]
        own = self._read(PRIVATE)
        lost = [key for key in absent if key not in own]
        if lost and place.config.aggregation.rule == "harmony":
            raise WireError(
                f"site {place.site}: {component_of(lost[0])} was neither sent nor kept; the node lost its state. "
                "start the run anew"
            )
        return model | {key: own.get(key, start[key]) for key in absent}

    def without_private(self, trained: State, place: Workplace, round_number: int) -> State:
        """Keep what stays here; what is left goes to the server."""
        keys = place.private_keys(kept_up(place.config, round_number))
        own = {key: value for key, value in trained.items() if key in keys}
        if own:
            self.state[PRIVATE] = array_record(self._read(PRIVATE) | own)
        return {key: value for key, value in trained.items() if key not in keys}

    def as_it_ends(self, model: State, place: Workplace, round_number: int) -> tuple[State, tuple[str, ...]]:
        """The model that the site ends with, and the modalities whose components it has all of.

        Args:
            model: every component that the server gives.
            place: the site.
            round_number: the last round that was trained.
        """
        keys = place.private_keys(kept_up(place.config, round_number))
        whole = model | {key: value for key, value in self._read(PRIVATE).items() if key in keys}
        wanted = state_of(MultimodalNet(place.spec))
        lost = {modality_of(component_of(key)) for key in wanted if key not in whole}
        usable = tuple(name for name in place.names if name not in lost)
        return {k: v for k, v in whole.items() if (modality_of(component_of(k)) or usable[0]) in usable}, usable

    def _read(self, name: str) -> Arrays:
        return arrays_of(self.state.array_records[name]) if name in self.state.array_records else {}
