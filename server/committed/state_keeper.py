"""Keeps a run on disk: what the loop tells becomes files, log lines and, after a restart, the run again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fedmce.config.schema import RunConfig
from fedmce.durable import Disk
from fedmce.errors import StateError
from fedmce.models import Statistics
from fedmce.record import RecordWriter
from fedmce.record.writer import RECORD, Observer, Row
from fedmce.wire import digest
from server.committed.chronicle import Chronicle
from server.committed.finishing import finished_first
from server.committed.folder import Opening, StateFolder
from server.committed.keeper import Keeper, KeepsNodes
from server.committed.opening import open_state
from server.committed.patient_record import PatientRecord
from server.committed.room import Room
from server.committed.snapshot import Snapshot, from_files, to_files
from server.roster import Roster
from server.state import GlobalState

STATE = "state"
LIBRARIES = ("flwr", "torch", "numpy", "safetensors")


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
        with finished_first():
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


def open_keeper(folder: Path, config: RunConfig, grid: object) -> Keeper:
    """What keeps this run, as its configuration says; an earlier part of the run is taken up.

    Raises:
        StateError: see :class:`StateKeeper`; nothing was written to the record then.
    """
    return StateKeeper(folder, config, grid) if config.exchange.commit_every else Keeper()


def plan_of(config: RunConfig) -> dict[str, Any]:
    """What a resumed run must not change: all but names, places, engine, and how often it commits."""
    tree: dict[str, Any] = config.model_dump(mode="json", exclude={"name", "out", "data_dir", "engine", "sites"})
    tree["sites"] = sorted(config.sites) if config.sites is not None else None
    del tree["exchange"]["commit_every"]
    if isinstance(tree["dataset"], dict):
        tree["dataset"].pop("path", None)
    return tree
