"""F01, F06, R28: a full disk costs time, never a committed round."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.committed import Opening, Room, StateFolder, open_state
from server.committed.room import RESERVE, free_bytes
from tests.faults.fake_run import (
    PLAN,
    VERSIONS,
    commit_unscored,
    content_of,
    next_round,
    opened,
    run_to_end,
    undisturbed,
)
from tests.faults.killed import in_child, quick_folder
from tests.faults.sick_disk import Clock, failing
from tests.faults.small_disk import small_disk

ROUNDS = 5
OPENING = Opening(PLAN, VERSIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


def test_F01_a_full_disk_is_waited_for_and_the_round_is_committed_when_there_is_room(folder: Path) -> None:
    """RLIMIT_FSIZE: writes end in the middle of a file, as on a disk that fills up."""

    def work() -> None:
        told: list[dict[str, Any]] = []
        clock = Clock(lambda now: limit(resource.RLIM_INFINITY) if now >= 150 else None)
        room = Room(folder / "state", told.append, clock=clock)
        state = open_state(folder / "state", OPENING, room=room)
        run_to_end(state, 3, 4096)
        limit(3000)
        content = next_round(4, undisturbed(3, 4096)[3], 4096)
        state.commit(4, content, {"record_bytes": 0})
        assert clock.now >= 150
        assert [row["why"] for row in told] == ["EFBIG"] * 3  # once a minute
        assert state.round == 4
        assert not list((folder / "state" / "rounds").glob("*.tmp"))
        state.close("finished")

    assert in_child(work) == 0
    assert content_of(opened(folder / "state")) == undisturbed(4, 4096)[4]


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_F01_a_full_disk_first_takes_back_old_rounds_and_then_the_reserve_for_the_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = opened(folder / "state")
    content = commit_unscored(state, 4)
    assert (folder / "state" / RESERVE).stat().st_size == 16 * 2**20
    full = {"now": True}
    failing(monkeypatch, "write", errno.ENOSPC, lambda fd: full["now"])
    clock = Clock(lambda now: full.update(now=False))
    state.room._clock = clock
    state.audit.write("ask", round=5)  # the log's line waits too, after the reserve is given back
    assert not (folder / "state" / RESERVE).exists()
    assert clock.now > 0
    full["now"] = True
    removed: list[int] = []
    prune = state._store.prune
    monkeypatch.setattr(state._store, "prune", lambda keep: removed.extend(prune(keep)))
    state.commit(5, next_round(5, content), {"record_bytes": 0})
    assert (removed, state._store.rounds()) == ([2], [3, 4, 5])
    state.close("finished")


def test_F01_a_round_is_not_sent_without_twice_the_room_of_the_state(folder: Path) -> None:
    told: list[dict[str, Any]] = []
    free = {"bytes": 1000}
    clock = Clock(lambda now: free.update(bytes=10**9) if now >= 200 else None)
    room = Room(folder / "state", told.append, free=lambda path: free["bytes"], clock=clock)
    state = open_state(folder / "state", OPENING, room=room)
    assert state.await_room(replies=400)
    run_to_end(state, 1, 4096)
    free["bytes"] = 1000
    assert not state.await_room()
    assert clock.now >= 200
    assert [row["why"] for row in told] == ["disk_low"] * 4
    assert all(row["free_bytes"] == 1000 and row["needed_bytes"] > 16_000 for row in told)
    state.close("finished")


@pytest.mark.slow
def test_F01_a_small_disk_that_fills_up_for_real_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 2) as disk:
        state = open_state(disk / "state", OPENING)
        run_to_end(state, 2, 50_000)
        filler = disk / "filler"
        with filler.open("wb") as file:
            while free_bytes(disk) > 60_000:
                file.write(b"x" * min(100_000, free_bytes(disk) - 50_000))
                file.flush()
        clock = Clock(lambda now: filler.unlink() if now == 3 else None)
        state.room._clock = clock
        content = next_round(3, undisturbed(2, 50_000)[2], 50_000)
        state.commit(3, content, {"record_bytes": 0})
        assert clock.now >= 3
        state.close("finished")
        assert content_of(opened(disk / "state")) == undisturbed(3, 50_000)[3]


def test_R28_a_kill_while_a_full_disk_is_waited_for_resumes_later(folder: Path) -> None:
    def work() -> None:
        state = opened(folder / "state")
        run_to_end(state, 2, 4096)
        limit(3000)
        run_to_end(opened_again(state), 3, 4096)

    def opened_again(state: StateFolder) -> StateFolder:
        state.newest = state._store.read(state.round)
        return state

    assert in_child(work, kill_after_s=1.0) == 9
    state = opened(folder / "state")
    assert state.round == 2
    assert run_to_end(state, ROUNDS, 4096) == undisturbed(ROUNDS, 4096)[ROUNDS]
    state.close("finished")


def test_F06_a_disk_without_room_for_more_files_counts_as_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        f_files, f_favail, f_bavail, f_frsize = 1000, 3, 10**6, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Told)
    assert free_bytes(folder) == 0
    Told.f_files = 0  # file systems that count no files
    assert free_bytes(folder) > 0
