"""The state folder of a run: lock, plan, committed rounds, audit log, room on the disk; whole, or exit 5."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.audit import AuditLog
from fedmce.durable import Disk, Files, write_durably
from fedmce.errors import StateError
from server.committed.kill import kill_point
from server.committed.lock import Lock, boot_id
from server.committed.plan import Changes, RunFile, check_plan
from server.committed.recovery import Recovered, continue_log, recover
from server.committed.room import Room, may_pass
from server.committed.store import FACTS, Store

KNOWN = frozenset({"LOCK", "run.json", "run.json.tmp", "rounds", "log", "quarantine", "reserve", "heartbeat", "spool"})
NEWEST, EVERY = 3, 10
"""Rounds that pruning keeps: the last ones, and every tenth."""


@dataclass(frozen=True)
class Opening:
    """What a state folder is opened with.

    Attributes:
        plan: everything that decides the numbers, JSON-ready.
        versions: of the libraries, by name.
        accept_rollback: go on from an older round if the newest is damaged or gone.
        keep_every: rounds between two that are kept for good; 0 = none.
    """

    plan: Mapping[str, Any]
    versions: Mapping[str, str]
    accept_rollback: bool = False
    keep_every: int = EVERY


class StateFolder:
    """An open state folder; :func:`open_state` makes one.

    Attributes:
        newest: round to go on from; None in a new run.
        audit: the log of all decisions.
        room: asks and waits for room on the disk.
        changes: keys of the plan that were changed on resume, old and new value.
        notes: what a person should be told.
        is_resumed: an earlier process worked on this run.
    """

    def __init__(
        self,
        path: Path,
        run: RunFile,
        store: Store,
        audit: AuditLog,
        recovered: Recovered,
        opening: Opening,
        files: Files,
        room: Room,
        release: Callable[[], None],
    ) -> None:
        self.path, self.run, self.audit, self.room = path, run, audit, room
        self.newest, self.notes = recovered.newest, recovered.notes
        self.changes: Changes = {}
        self.is_resumed = False
        self._store, self._files, self._release, self._opening = store, files, release, opening
        self._flushed: set[Path] = set()
        self._doubtful: set[Path] = set()
        facts = self.newest.facts if self.newest is not None else {}
        self._best: dict[str, Any] | None = facts.get("best")
        self._bytes = sum(len(data) for data in self.newest.files.values()) if self.newest is not None else 0

    @property
    def round(self) -> int:
        """Last committed round; 0 for none."""
        return self._store.last.round if self._store.last is not None else 0

    def await_room(self, replies: int = 0) -> bool:
        """Before a round is sent: wait until twice the state and the replies' bytes are free; False if it waited."""
        return self.room.await_free(2 * (self._bytes + replies))

    def commit(
        self,
        number: int,
        content: Mapping[str, bytes],
        facts: Mapping[str, Any],
        score: float | None = None,
        beside: Sequence[Path] = (),
    ) -> None:
        """Make a round durable; when this returns, no kill or power cut takes it back.

        A full disk is waited for: first older rounds go, then nothing moves until there is room. A failed flush is
        never tried again on the same file: every byte is written anew, once.

        Args:
            number: of the round.
            content: files of the round by name, without ``round.json``.
            facts: what ``round.json`` says besides, JSON-ready.
            score: of the model; the best round is kept.
            beside: files outside that must be on the disk before the round counts, such as the record.

        Raises:
            StateError: the disk fails for good, or the round is committed already.
        """
        best = self._best
        if score is not None and (best is None or score > best["score"]):
            best = {"round": number, "score": score}
        failures = 0
        while True:
            try:
                manifest = self._try(number, content, {**facts, "round": number, "best": best}, beside)
                break
            except OSError as error:
                self._store.drop(number)
                failures += 1
                self._after(error, failures)
        self.room.written()
        self._best, self._bytes = best, sum(len(data) for data in content.values())
        self.audit.write("commit", round=number, manifest=manifest)
        kill_point("K9", number)
        self._prune(NEWEST)
        kill_point("K10", number)

    def _try(self, number: int, content: Mapping[str, bytes], facts: dict[str, Any], beside: Sequence[Path]) -> str:
        # The log and what lies beside come first: the round vouches for both.
        self.audit.sync()
        for path in beside:
            self._flush(path)
        told = json.dumps(facts | {"audit": str(self.audit.head)}, indent=1).encode()
        return self._store.commit(number, {**content, FACTS: told}).sha256

    def _flush(self, path: Path) -> None:
        if path in self._doubtful:  # its last flush failed: the system may have forgotten what it did not write
            write_durably(self._files, path, self._files.read(path))
            self._doubtful.remove(path)
            return
        if path not in self._flushed:  # a new file is there only once its folder says so
            self._files.sync_folder(path.parent)
            self._flushed.add(path)
        try:
            self._files.sync(path)
        except OSError:
            self._doubtful.add(path)
            raise

    def _after(self, error: OSError, failures: int) -> None:
        """Decide whether to try again after a failed commit."""
        if may_pass(error):
            if failures == 1:
                try:
                    self._prune(2)
                    return
                except OSError:
                    pass
            self.room.wait_after(error)
        elif failures > 1:
            raise StateError(
                f"{self.path}: round cannot be committed ({error.strerror or error}), twice; needed a sound disk. every "
                "round committed before is there: copy the folder to another disk and resume"
            ) from error

    def _prune(self, newest: int) -> None:
        rounds = self._store.rounds()
        keep = set(rounds[-newest:])
        if newest > 2:
            every = self._opening.keep_every
            keep |= {n for n in rounds if every and n % every == 0} | ({self._best["round"]} if self._best else set())
        self._store.prune(keep)

    def close(self, status: str) -> None:
        """Say in the log how this process ended, and let the folder go."""
        try:
            self.audit.write("shutdown", round=self.round, status=status)
            self.audit.sync()
        finally:
            self.room.release_reserve()
            self._release()


def open_state(
    path: Path,
    opening: Opening,
    *,
    files: Files | None = None,
    room: Room | None = None,
    lock: Callable[[Path], Any] = Lock,
) -> StateFolder:
    """Take a state folder for this process: make it, or recover what an earlier process committed.

    Args:
        path: the folder; its parent must be there.
        opening: plan and versions of the run.
        files: the file system; default this machine's.
        room: how room is asked for.
        lock: what keeps a second server out.

    Raises:
        StateError: held by another server, of another plan, damaged, or not to be written.
    """
    files = files if files is not None else Disk()
    try:
        _make(files, path)
        held = lock(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        return _open(path, opening, files, room if room is not None else Room(path), held.release)
    except BaseException as error:
        held.release()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _open(path: Path, opening: Opening, files: Files, room: Room, release: Callable[[], None]) -> StateFolder:
    kill_point("V1")
    for name in ("rounds", "log"):
        _make(files, path / name)
    run, store = _run_file(path, opening, files)
    log = path / "log" / "audit.jsonl"
    recovered = recover(store, log, path / "quarantine", files, opening.accept_rollback)
    changes = check_plan(run.plan, opening.plan, store.last.round if store.last else 0)
    is_resumed = recovered.log is not None or recovered.newest is not None
    audit = continue_log(log, recovered, store, run.plan_sha256, files, boot_id())
    kill_point("V5")
    state = StateFolder(path, run, store, audit, recovered, opening, files, room, release)
    audit.on_full = room.on_full
    state.changes, state.is_resumed = changes, is_resumed
    state.notes += _notes(path, files, run, opening)
    if is_resumed:
        told = {key: list(values) for key, values in changes.items()}
        if told:
            audit.write("config_change", round=state.round, changes=told)
        audit.write("resume", round=state.round, notes=state.notes)
        kill_point("V7")
    audit.sync()
    room.take_reserve()
    kill_point("V10")
    if isinstance(files, Disk) and not files.can_sync_folders:
        state.notes.append("this file system cannot flush folders: a power cut may take the newest rounds")
    return state


def _run_file(path: Path, opening: Opening, files: Files) -> tuple[RunFile, Store]:
    run = RunFile.read(path, files)
    if run is not None:
        return run, Store(path / "rounds", run.run, files)
    if any(name[:1].isdigit() for name in files.names(path / "rounds")):
        raise StateError(f"{path}: holds rounds but no run.json; needed the folder as the run left it")
    run = RunFile(uuid.uuid4().hex[:16], dict(opening.plan), dict(opening.versions))
    run.write(path, files)
    return run, Store(path / "rounds", run.run, files)


def _notes(path: Path, files: Files, run: RunFile, opening: Opening) -> list[str]:
    notes = []
    other = {n: (run.versions.get(n), v) for n, v in opening.versions.items() if run.versions.get(n) != v}
    if other:
        shown = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in sorted(other.items()))
        notes.append(f"other versions than the run began with: {shown}; its numbers may differ in the last bits")
    unknown = sorted(set(files.names(path)) - KNOWN)
    if unknown:
        notes.append(f"left alone in {path}: {', '.join(unknown)}")
    return notes


def _make(files: Files, path: Path) -> None:
    kind = files.kind(path)
    if kind is None:
        files.make_folder(path)
        files.sync_folder(path.parent)
    elif kind != "folder":
        raise StateError(f"{path}: a file or a link; needed a folder")


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"{path}: {error.strerror or error} ({errno.errorcode.get(error.errno or 0, '?')}); needed a folder that can be "
        "written"
    )
