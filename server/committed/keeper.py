"""What the round loop tells of a run; one object, so that the loop knows nothing of disks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fedmce.flower_compat import RecordDict
from fedmce.models import Statistics
from fedmce.record import RecordWriter
from fedmce.record.writer import Observer
from server.committed.snapshot import Snapshot
from server.roster import Roster
from server.state import GlobalState


@runtime_checkable
class KeepsNodes(Protocol):
    """A grid whose nodes live in this process, so that what they keep can be committed with the round."""

    @property
    def kept(self) -> dict[int, RecordDict]:
        """What each node keeps, by its id."""

    def restore(self, kept: Mapping[int, RecordDict]) -> None:
        """Put it back."""


class Keeper:
    """Keeps nothing: ``exchange.commit_every=0``, and the loop under test.

    Attributes:
        found: the run between two rounds, to go on from; None at its beginning.
        seconds: that earlier processes of the run took.
        audit_head: newest line of the audit log that is on the disk; empty for none.
    """

    found: Snapshot | None = None
    seconds: float = 0.0
    audit_head: str = ""

    def record(self, folder: Path, observer: Observer | None) -> RecordWriter:
        """The record of the run, cut back to what is committed."""
        return RecordWriter(folder, observer)

    def resumed(self) -> dict[str, Any]:
        """Fields of the ``resume`` event; of a run that goes on alone."""
        return {}

    def begin(self, statistics: dict[str, Statistics], keys: Callable[[], dict[str, str]]) -> None:
        """The federation stands; what was found is let go.

        Args:
            statistics: of the normalisation.
            keys: fingerprints of the sites' keys as they are now.
        """

    def before_round(self, number: int, asked: tuple[str, ...], reply_bytes: int) -> None:
        """These sites are about to be asked, and may answer with so many bytes; may wait for room on the disk."""

    def after_round(
        self, state: GlobalState, roster: Roster, progress: Mapping[str, Any], updates: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """A round is over and recorded.

        Args:
            state: after it.
            roster: after it.
            progress: what the loop remembers, JSON-ready.
            updates: arrays that were accepted, by site.
        """

    def close(self, status: str) -> None:
        """The run ends for now."""
