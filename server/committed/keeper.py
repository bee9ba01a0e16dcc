"""What the round loop tells of a run, kept on disk; one object, so that the loop knows nothing of how."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fedmce.config.schema import RunConfig
from fedmce.durable import Disk
from fedmce.errors import StateError
from fedmce.flower_compat import RecordDict
from fedmce.models import Statistics
from fedmce.record import RecordWriter
from fedmce.record.writer import Observer, Row
from fedmce.wire import digest
from server.committed.chronicle import Chronicle
from server.committed.folder import Opening, StateFolder, open_state
from server.committed.room import Room
from server.committed.snapshot import Snapshot, from_files, to_files
from server.roster import Roster
from server.state import GlobalState

STATE, RECORD = "state", "record.jsonl"
LIBRARIES = ("flwr", "torch", "numpy", "safetensors")


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


class StateKeeper(Keeper):
    """Commits to the folder ``state`` of the run.

    Args:
        folder: of the run.
        config: of the run.
        grid: asked for what its nodes keep, if they live here.

    Raises:
        StateError: the state is held, damaged, of another plan, or cannot be written.
    """

    def __init__(self, folder: Path, config: RunConfig, grid: object, accept_rollback: bool = False) -> None:
        self._folder, self._config, self._grid = folder, config, grid
        self._rows: list[Row] = []
        self._score: float | None = None
        self._record: RecordWriter | None = None
        self._statistics: dict[str, Statistics] = {}
        self._keys: Callable[[], dict[str, str]] = dict
        self._began = time.perf_counter()
        self._is_warning = False
        self._hash, self._hashed = hashlib.sha256(), 0
        opening = Opening(plan_of(config), {name: version(name) for name in LIBRARIES}, accept_rollback)
        self.state: StateFolder = open_state(folder / STATE, opening, room=Room(folder / STATE, self._warn))
        self._chronicle = Chronicle(self.state.audit)
        try:
            self._take_up()
        except BaseException:
            self.state.close("failed")
            raise

    def _take_up(self) -> None:
        """Cut the record back to the newest round and read what was committed with it."""
        newest, path, disk = self.state.newest, self._folder / RECORD, Disk()
        if newest is None:
            if path.exists():  # what was recorded belongs to rounds that will be run again
                disk.cut(path, 0)
            return
        promised = int(newest.facts["record_bytes"])
        data = disk.read(path)[:promised] if path.exists() else b""
        self._hash.update(data)
        self._hashed = len(data)
        if self._hash.hexdigest() != newest.facts["record_sha256"]:
            raise StateError(
                f"{path}: its first {promised} bytes are not those that it had when round {newest.round} was committed; needed "
                "the record as the run wrote it. restore it from a backup"
            )
        disk.cut(path, promised)
        self.seconds = float(newest.facts["seconds"])
        self.found = from_files(newest.files, newest.round)
        if isinstance(self._grid, KeepsNodes):
            self._grid.restore(self.found.nodes)

    @property
    def audit_head(self) -> str:  # type: ignore[override]
        """See :class:`Keeper`."""
        return str(self.state.audit.flushed or "")

    def record(self, folder: Path, observer: Observer | None) -> RecordWriter:
        """See :class:`Keeper`."""
        self._record = PatientRecord(folder, observer, self.state.room, self._take)
        return self._record

    def resumed(self) -> dict[str, Any]:
        """See :class:`Keeper`."""
        changes = {key: list(values) for key, values in self.state.changes.items()}
        return {"round": self.state.round, "changes": changes, "notes": self.state.notes}

    def begin(self, statistics: dict[str, Statistics], keys: Callable[[], dict[str, str]]) -> None:
        """See :class:`Keeper`."""
        self._statistics, self._keys = statistics, keys
        self.found = self.state.newest = None

    def before_round(self, number: int, asked: tuple[str, ...], reply_bytes: int) -> None:
        """See :class:`Keeper`."""
        self.state.await_room(reply_bytes)
        self._write_up({})
        self._chronicle.asked(number, asked)

    def after_round(
        self, state: GlobalState, roster: Roster, progress: Mapping[str, Any], updates: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """See :class:`Keeper`."""
        digests = {site: digest(update) for site, update in sorted(updates.items())}
        self._write_up(digests)
        if state.round % self._config.exchange.commit_every and state.round != self._config.rounds:
            return
        nodes = self._grid.kept if isinstance(self._grid, KeepsNodes) else {}
        snapshot = Snapshot(state, self._statistics, roster.profiles, self._keys(), dict(progress), nodes)
        self._hash_record()
        facts = {
            "accepted": digests,
            "record_bytes": self._hashed,
            "record_sha256": self._hash.hexdigest(),
            "seconds": self.seconds + time.perf_counter() - self._began,
        }
        self.state.commit(state.round, to_files(snapshot), facts, self._score, [self._folder / RECORD])
        self._score = None

    def close(self, status: str) -> None:
        """See :class:`Keeper`."""
        self.state.close(status)

    def _hash_record(self) -> None:
        """Fold in what was recorded since the last time."""
        with (self._folder / RECORD).open("rb") as file:
            file.seek(self._hashed)
            while data := file.read(2**20):
                self._hash.update(data)
                self._hashed += len(data)

    def _write_up(self, digests: Mapping[str, str]) -> None:
        for row in self._rows:
            self._chronicle.take(row, digests)
        self._rows.clear()

    def _take(self, row: Row) -> None:
        self._rows.append(row)
        if row["event"] == "evaluation" and row["split"] == "test" and row["round"]:
            self._score = row["mean_subset"]

    def _warn(self, told: dict[str, Any]) -> None:
        if self._record is None or self._is_warning:  # the warning itself may find the disk full
            return
        self._is_warning = True
        try:
            self._record.write("disk_low", **told)
        finally:
            self._is_warning = False


class PatientRecord(RecordWriter):
    """A record that waits for room on a full disk in place of ending the run.

    Args:
        folder: of the run.
        observer: gets every row.
        room: waits.
        take: gets every row, first.
    """

    def __init__(self, folder: Path, observer: Observer | None, room: Room, take: Callable[[Row], None]) -> None:
        super().__init__(folder, observer)
        self._room, self._take = room, take

    def write(self, event: str, **fields: Any) -> Row:
        """See :class:`fedmce.record.RecordWriter`."""
        row = super().write(event, **fields)
        self._take(row)
        return row

    def _append(self, line: str) -> None:
        before = self._path.stat().st_size if self._path.exists() else 0
        while True:
            try:
                return super()._append(line)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.truncate(self._path, before)  # half a row would make the next one unreadable
                self._room.on_full(error)


def open_keeper(folder: Path, config: RunConfig, grid: object) -> Keeper:
    """What keeps this run, as its configuration says; an earlier part of the run is taken up.

    Raises:
        StateError: see :class:`StateKeeper`; nothing was written to the record then.
    """
    return StateKeeper(folder, config, grid) if config.exchange.commit_every else Keeper()


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


def plan_of(config: RunConfig) -> dict[str, Any]:
    """What a resumed run must not change: all but names, places, engine, and how often it commits."""
    tree: dict[str, Any] = config.model_dump(mode="json", exclude={"name", "out", "data_dir", "engine", "sites"})
    tree["sites"] = sorted(config.sites) if config.sites is not None else None
    del tree["exchange"]["commit_every"]
    if isinstance(tree["dataset"], dict):
        tree["dataset"].pop("path", None)
    return tree
