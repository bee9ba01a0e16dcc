"""A run of milliseconds on a real state folder: each round follows from the one before as an aggregation would."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fedmce.durable import Disk, Files
from server.committed import Opening, Room, StateFolder, kill_point, open_state

PLAN = {"seed": 3, "rounds": 6, "training": {"lr": 0.1}, "exchange": {"deadline_s": 900.0}}
VERSIONS = {"numpy": "1"}
SITES = ("ash", "birch", "cedar")
BYTES = 64
RECORD = "record.jsonl"


class NoLock:
    def __init__(self, folder: Path) -> None:
        del folder

    def release(self) -> None:
        pass


class NoRoom(Room):
    """A disk that is never full."""

    def take_reserve(self) -> None:
        pass

    def release_reserve(self) -> bool:
        return False

    def await_free(self, needed: int) -> bool:
        return True

    def wait_after(self, error: OSError) -> None:
        raise error


def opened(path: Path, files: Files | None = None, **changes: Any) -> StateFolder:
    """The state folder as the fake run opens it."""
    opening = Opening(**{"plan": PLAN, "versions": VERSIONS} | changes)
    if files is None:
        return open_state(path, opening)
    return open_state(path, opening, files=files, room=NoRoom(path), lock=NoLock)


def first(size: int = BYTES) -> dict[str, bytes]:
    """What round 1 starts from."""
    return {"model.safetensors": b"m" * size, "server_opt.safetensors": b"o" * size, "contributions.json": b"{}"}


def next_round(number: int, old: dict[str, bytes], size: int = BYTES) -> dict[str, bytes]:
    """Round ``number`` from the one before: model, momentum and smoothed contributions depend on all of it."""
    seed = str(number).encode() + b"".join(old[name] for name in sorted(old) if name != "round.json")
    grown = {name: _grown(name.encode() + seed, size) for name in ("model.safetensors", "server_opt.safetensors")}
    told = json.loads(old["contributions.json"])
    told[f"r{number}"] = hashlib.sha256(seed).hexdigest()
    return grown | {"contributions.json": json.dumps(dict(list(told.items())[-3:])).encode()}


def _grown(seed: bytes, size: int) -> bytes:
    return hashlib.shake_128(seed).digest(size)


def run_to_end(state: StateFolder, rounds: int, size: int = BYTES, files: Files | None = None) -> dict[str, bytes]:
    """All rounds that are left; content of the last one."""
    files, record = files if files is not None else Disk(), state.path / RECORD
    if state.newest is None:
        if files.kind(record) is not None:
            files.remove(record)
    else:
        files.cut(record, state.newest.facts["record_bytes"])
    content = dict(state.newest.files) if state.newest is not None else first(size)
    content.pop("round.json", None)
    for number in range(state.round + 1, rounds + 1):
        state.await_room()
        for site in SITES:
            state.audit.write("ask", round=number, site=site)
        kill_point("K0", number)
        for site in SITES:
            state.audit.write("reply", round=number, site=site, verdict="accepted")
        kill_point("K1", number)
        content = next_round(number, content, size)
        kill_point("K2", number)
        score = float(hashlib.sha256(content["model.safetensors"]).digest()[0])
        files.append(record, f"round {number}\n".encode())
        told = {"accepted": list(SITES), "record_bytes": len(files.read(record))}
        state.commit(number, content, told, score, [record])
    return content


def undisturbed(rounds: int, size: int = BYTES) -> dict[int, dict[str, bytes]]:
    """Content of every round of a run to which nothing happens."""
    found, content = {}, first(size)
    for number in range(1, rounds + 1):
        found[number] = content = next_round(number, content, size)
    return found


def content_of(state: StateFolder) -> dict[str, bytes]:
    """Content of the newest round without what times and places have a part in."""
    assert state.newest is not None
    return {name: data for name, data in state.newest.files.items() if name != "round.json"}


def commit_unscored(state: StateFolder, rounds: int) -> dict[str, bytes]:
    """Commit some rounds, none of them the best; content of the last."""
    content = first()
    for number in range(1, rounds + 1):
        content = next_round(number, content)
        state.commit(number, content, {"record_bytes": 0})
    return content
