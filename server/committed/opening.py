"""Taking a state folder: lock, plan, recovery; whole, or exit 5."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmce.durable import Disk, Files
from fedmce.errors import StateError
from server.committed.folder import Opening, StateFolder
from server.committed.kill import kill_point
from server.committed.lock import Lock, boot_id
from server.committed.plan import RunFile, check_plan
from server.committed.recovery import continue_log, recover
from server.committed.room import Room
from server.committed.store import Store

KNOWN = frozenset({"LOCK", "run.json", "run.json.tmp", "rounds", "log", "quarantine", "reserve", "heartbeat", "spool"})


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
    changes = check_plan(run.plan, opening.plan, max(store.rounds(), default=0))
    recovered = recover(store, log, path / "quarantine", files, opening.accept_rollback)
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
