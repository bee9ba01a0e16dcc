"""From what a dead process left on the disk to the newest committed round, and a log that says so."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.audit import AuditLog, Head, Verdict, judge
from fedmce.durable import Files
from fedmce.errors import StateError
from server.committed.kill import kill_point
from server.committed.store import Committed, Store

REMEDY = "needed the state as it was committed. restore it from a backup, or go on from the last sound round with --accept-rollback"


@dataclass
class Recovered:
    """What recovery came to.

    Attributes:
        newest: the round to go on from; None if none was committed.
        log: the audit log as far as it is sound; None for a new one.
        damaged: committed rounds that may not be used, and why.
        notes: what a person should know.
        rolled_back_from: round that the state was at before damage was accepted; 0 if none was.
    """

    newest: Committed | None = None
    log: Verdict | None = None
    damaged: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rolled_back_from: int = 0


def recover(store: Store, log: Path, quarantine: Path, files: Files, accept_rollback: bool = False) -> Recovered:
    """Find the newest committed round; remove what was never committed; refuse what was damaged since.

    A kill or a power cut leaves unfinished folders, and a tail of the log that was not flushed: both are cleared
    away. A committed round that does not fit its checksums, a log that was edited, or a round that the log has and the
    disk has not, is no crash: nothing is touched until that is accepted.

    Args:
        store: the rounds.
        log: the audit log; need not be there.
        quarantine: folder for what is set aside.
        files: the file system.
        accept_rollback: go on from an older round.

    Raises:
        StateError: damage that was not accepted; the message names all of it.
    """
    found = Recovered()
    for path in store.unfinished():
        files.remove(path)
        kill_point("V2")
    while True:
        _walk(store, found)
        heads = _heads(found)
        found.log = _read_log(files, log, heads)
        if not (other := _another(found)):
            break
        found.damaged[other] = "the log saw another one committed under this number"
    kill_point("V3")
    broken = _broken(found, heads)
    problems = _problems(found, log, broken)
    if not problems:
        _cut_tail(files, log, quarantine, found)
        return found
    if not accept_rollback:
        raise StateError(f"state: {'; '.join(problems)}; {REMEDY}")
    found.notes += problems
    found.rolled_back_from = max([found.log.committed if found.log else 0, _at(found), *found.damaged])
    _set_aside(store, log, quarantine, files, found, is_log_broken=bool(broken))
    return found


def _at(found: Recovered) -> int:
    return found.newest.round if found.newest is not None else 0


def _walk(store: Store, found: Recovered) -> None:
    """Find the newest sound round among those that are not known to be damaged."""
    found.newest, store.last = None, None
    for number in reversed(store.rounds()):
        if number in found.damaged:
            continue
        try:
            found.newest = store.read(number)
        except StateError as error:
            found.damaged[number] = str(error)
            continue
        store.last = found.newest.manifest
        return


def _heads(found: Recovered) -> list[Head]:
    return [Head.of(str(found.newest.facts["audit"]))] if found.newest is not None else []


def _read_log(files: Files, log: Path, heads: Iterable[Head]) -> Verdict | None:
    return judge(io.BytesIO(files.read(log)), heads) if files.kind(log) is not None else None


def _broken(found: Recovered, heads: list[Head]) -> str:
    """Why the log cannot be believed up to the newest committed round; empty if it can."""
    if not heads:
        return ""  # nothing was promised yet: an unflushed beginning may be torn
    if found.log is None:
        return "not there"
    reached = found.log.head.seq if found.log.head is not None else -1
    return str(found.log.problem) if found.log.problem is not None and reached < heads[0].seq else ""


def _another(found: Recovered) -> int:
    """The newest round, if it is sound in itself but not the one that the log saw committed; else 0."""
    if found.newest is None or found.log is None or found.log.committed != found.newest.round:
        return 0
    return found.newest.round if found.log.manifest not in ("", found.newest.manifest.sha256) else 0


def _problems(found: Recovered, log: Path, broken: str) -> list[str]:
    problems = [f"round {number}: {why}" for number, why in sorted(found.damaged.items())]
    if broken:
        return [*problems, f"{log}: {broken}"]
    lost = found.log.committed if found.log is not None else 0
    if lost > _at(found):
        problems.append(f"{log} says that round {lost} was committed, but the newest sound round is {_at(found)}")
    return problems


def _cut_tail(files: Files, log: Path, quarantine: Path, found: Recovered) -> None:
    """Set aside lines that were never flushed and came to nothing in a power cut."""
    if found.log is None or found.log.problem is None:
        return
    data = files.read(log)
    _make(files, quarantine)
    aside = _free_name(files, quarantine, "audit-tail")
    files.write(aside, data[found.log.size :])
    files.sync(aside)
    if found.log.lines:
        files.cut(log, found.log.size)
    else:
        files.remove(log)
    kill_point("V4")
    found.notes.append(f"{len(data) - found.log.size} byte(s) at the end of the audit log were torn; kept as {aside}")
    found.log = _read_log(files, log, ())


def _set_aside(store: Store, log: Path, quarantine: Path, files: Files, found: Recovered, is_log_broken: bool) -> None:
    _make(files, quarantine)
    for number in sorted(found.damaged):
        files.rename(store.path(number), _free_name(files, quarantine, f"{number:06d}"))
        kill_point("V8")
    files.sync_folder(store.folder)
    if not is_log_broken:
        _cut_tail(files, log, quarantine, found)
    elif found.log is not None:
        files.rename(log, _free_name(files, quarantine, "audit"))
        files.sync_folder(log.parent)
        found.log = None
    files.sync_folder(quarantine)


def _make(files: Files, folder: Path) -> None:
    if files.kind(folder) is None:
        files.make_folder(folder)


def _free_name(files: Files, folder: Path, stem: str) -> Path:
    taken, again = set(files.names(folder)), 0
    while (name := f"{stem}-{again}") in taken:
        again += 1
    return folder / name


def continue_log(path: Path, found: Recovered, store: Store, plan_sha256: str, files: Files, boot: str) -> AuditLog:
    """The log that goes on: a new one, or the one found with what is missing from it added.

    Args:
        path: the log.
        found: what recovery came to.
        store: the rounds.
        plan_sha256: digest of the plan.
        files: the file system.
        boot: this start of the machine.
    """
    at = _at(found)
    log = AuditLog(path, found.log.head if found.log is not None else None, boot=boot, files=files)
    if found.log is None:
        # Rounds that stay keep heads of the log that was set aside.
        replaces = sorted({head for number in store.rounds() if (head := _head_in(store, number))})
        data: dict[str, Any] = {"replaces": replaces} if replaces else {}
        log.write("run_start", run=store.run, plan=plan_sha256, **data)
    if found.rolled_back_from:
        manifest = found.newest.manifest.sha256 if found.newest is not None else ""
        log.write("rollback", round=at, manifest=manifest, from_round=found.rolled_back_from, why=found.notes)
        kill_point("V9")
    elif found.newest is not None and found.log is not None and found.log.committed < at:
        log.write("commit", round=at, manifest=found.newest.manifest.sha256, recovered=True)
        kill_point("V6")
    return log


def _head_in(store: Store, number: int) -> str:
    try:
        return str(store.read(number).facts.get("audit", ""))
    except StateError:
        return ""
