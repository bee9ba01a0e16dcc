"""Looking at a run before it goes on: what the command line does before it starts an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedmce.config.schema import RunConfig
from fedmce.errors import StateError
from server.committed.state_keeper import STATE, StateKeeper


@dataclass(frozen=True)
class TakenUp:
    """Where a run will go on.

    Attributes:
        round: its last committed round; 0 for none.
        notes: what a person should be told.
    """

    round: int
    notes: tuple[str, ...]


def take_up(folder: Path, config: RunConfig, accept_rollback: bool = False) -> TakenUp:
    """Recover the state of a run and cut its record back, without running anything.

    Raises:
        StateError: the run kept no state, or see :class:`StateKeeper`.
    """
    if not (folder / STATE / "run.json").is_file():
        raise StateError(
            f"{folder}: no folder {STATE} of committed rounds; needed a run with exchange.commit_every above 0. start it anew"
        )
    keeper = StateKeeper(folder, config, None, accept_rollback)
    found = TakenUp(keeper.state.round, tuple(keeper.state.notes))
    keeper.close("taken up")
    return found
