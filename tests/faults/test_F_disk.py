"""F01, F03-F09, F12, R28: full, failing, read-only and trapped disks cost time, never a committed round."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmce.errors import StateError
from server.committed import Opening, Room, StateFolder, open_state
from server.committed.room import RESERVE, free_bytes
from tests.faults.fake_run import PLAN, VERSIONS, content_of, first, next_round, opened, run_to_end, undisturbed
from tests.faults.killed import in_child, quick_folder

ROUNDS = 5
OPENING = Opening(PLAN, VERSIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


class Clock:
    """Time that passes only in sleeping; ``then`` happens at each sleep."""

    def __init__(self, then: Callable[[float], None] = lambda now: None) -> None:
        self.now, self.then = 0.0, then

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now)


def failing(patch: pytest.MonkeyPatch, name: str, number: int, while_: Callable[[str], bool]) -> None:
    """Let a call of ``os`` fail with an errno while ``while_`` (told its first argument) says so."""
    real = getattr(os, name)

    def call(*told: Any, **named: Any) -> Any:
        if while_(str(told[0])):
            raise OSError(number, os.strerror(number), str(told[0]))
        return real(*told, **named)

    patch.setattr(os, name, call)


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


def commit_unscored(state: StateFolder, rounds: int) -> dict[str, bytes]:
    """Commit some rounds, none of them the best; content of the last."""
    content = first()
    for number in range(1, rounds + 1):
        content = next_round(number, content)
        state.commit(number, content, {"record_bytes": 0})
    return content


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
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here; RLIMIT_FSIZE stands in for it above")
    try:
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
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


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


def test_F03_a_failed_flush_is_never_tried_again_on_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_flushes(folder / "counted")
    for number in range(calls):
        with monkeypatch.context() as patch:
            state = opened(folder / f"state{number}")
            run_to_end(state, 2)
            failed = Flushes(patch, fails=lambda seen, wanted=number: seen == wanted)
            state.commit(3, next_round(3, undisturbed(2)[2]), {"record_bytes": 0}, None, [folder / "run" / "record"])
            assert failed.failures == 1, f"flush {number} was not reached"
            state.close("finished")
        assert content_of(opened(folder / f"state{number}")) == undisturbed(3)[3]


class Flushes:
    """Fails some calls of fsync, and then every later one on a file that was not written anew since."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
        self.seen, self.failures, self._bad = 0, 0, set[int]()
        self._fails, self._fsync, self._open = fails, os.fsync, os.open
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "open", self.open)

    def fsync(self, fd: int) -> None:
        number = os.fstat(fd).st_ino
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        assert is_folder or number not in self._bad, "a flush was tried again on the same file"
        self.seen += 1
        if self._fails(self.seen - 1):
            self.failures += 1
            self._bad.add(number)
            raise OSError(errno.EIO, "input/output error")
        self._fsync(fd)

    def open(self, path: Any, flags: int, *told: Any, **named: Any) -> int:
        fd = self._open(path, flags, *told, **named)
        if flags & os.O_EXCL:  # a new file, perhaps under the number of one that was removed
            self._bad.discard(os.fstat(fd).st_ino)
        return fd


def count_flushes(path: Path) -> int:
    record = path.parent / "run" / "record"
    record.parent.mkdir()
    record.write_bytes(b"row\n")
    with pytest.MonkeyPatch.context() as patch:
        state = opened(path)
        run_to_end(state, 2)
        counted = Flushes(patch, fails=lambda seen: False)
        state.commit(3, next_round(3, undisturbed(2)[2]), {"record_bytes": 0}, None, [record])
        state.close("finished")
        return counted.seen - 1  # the last one is that of the shutdown line


def test_F03_a_disk_that_fails_again_ends_the_run_and_nothing_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = opened(folder / "state")
    run_to_end(state, 2)
    with monkeypatch.context() as patch:
        Flushes(patch, fails=lambda seen: seen >= 1)
        with pytest.raises(StateError, match="cannot be committed") as caught:
            state.commit(3, next_round(3, undisturbed(2)[2]), {"record_bytes": 0})
    assert (caught.value.exit_code, state.round) == (5, 2)
    state.close("failed")
    assert opened(folder / "state").round == 2


def test_F04_a_folder_that_cannot_be_written_is_refused_before_the_first_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mkdir", "open"):
        with monkeypatch.context() as patch:
            failing(patch, name, errno.EROFS, lambda path: "state" in path)
            with pytest.raises(StateError, match="Read-only") as caught:
                opened(folder / "state")
        assert caught.value.exit_code == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="rights do not bind the superuser; the case above covers it")
def test_F04_a_folder_without_write_rights_is_refused(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with pytest.raises(StateError, match="Permission"):
            opened(folder / "state")
    finally:
        folder.chmod(0o700)


def test_F04_a_disk_that_turns_read_only_in_the_run_is_waited_for_but_not_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = opened(folder / "state")
    run_to_end(state, 2)
    is_away = {"now": True}
    state.room._clock = Clock(lambda now: is_away.update(now=now < 60))
    failing(monkeypatch, "mkdir", errno.EROFS, lambda path: is_away["now"])
    state.commit(3, next_round(3, undisturbed(2)[2]), {"record_bytes": 0})
    is_away["now"] = True
    state.room._clock = Clock()
    with pytest.raises(StateError, match="every committed round is there"):
        state.commit(4, next_round(4, undisturbed(3)[3]), {"record_bytes": 0})
    state.close("failed")


def test_F05_a_file_system_without_locks_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StateError, match="has no locks") as caught:
        opened(folder / "state")
    assert caught.value.exit_code == 5


def test_F05_a_file_system_that_cannot_flush_folders_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "invalid argument")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    state = opened(folder / "state")
    assert any("cannot flush folders" in note for note in state.notes)
    assert run_to_end(state, 2) == undisturbed(2)[2]
    state.close("finished")


def test_F06_a_disk_without_room_for_more_files_counts_as_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        f_files, f_favail, f_bavail, f_frsize = 1000, 3, 10**6, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Told)
    assert free_bytes(folder) == 0
    Told.f_files = 0  # file systems that count no files
    assert free_bytes(folder) > 0


def test_F07_a_hundred_rounds_leave_no_open_file(folder: Path) -> None:
    def work() -> None:
        state = opened(folder / "state")
        run_to_end(state, 3)
        before = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 16, before + 16))
        state.newest = state._store.read(3)
        run_to_end(state, 103)
        assert len(os.listdir("/proc/self/fd")) <= before + 1
        state.close("finished")

    assert in_child(work) == 0


def test_F08_rights_do_not_depend_on_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        state = opened(folder / "state")
        run_to_end(state, 2)
        state.audit.write("ask", round=3)
        for path in [folder / "state", *(folder / "state").rglob("*")]:
            if path.name != "record.jsonl":
                assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        state.close("finished")
    finally:
        os.umask(before)


def test_F09_planted_links_are_not_followed(folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep", encoding="utf-8")
    state = opened(folder / "state")
    run_to_end(state, 2)
    (folder / "state" / "rounds" / "000003.tmp").symlink_to(outside)
    state.newest = state._store.read(2)
    assert run_to_end(state, 3) == undisturbed(3)[3]
    state.close("finished")
    (folder / "state" / "rounds" / "000009.tmp").symlink_to(outside)
    (folder / "state" / "run.json.tmp").symlink_to(outside / "precious")
    opened(folder / "state").close("finished")
    assert (outside / "precious").read_text(encoding="utf-8") == "keep"
    assert os.listdir(outside) == ["precious"]


@pytest.mark.parametrize("name", ["LOCK", "run.json", "rounds", "log", "log/audit.jsonl"])
def test_F09_a_link_in_place_of_a_part_of_the_state_is_refused(folder: Path, name: str) -> None:
    state = opened(folder / "state")
    run_to_end(state, 2)
    state.close("finished")
    path = folder / "state" / name
    path.rename(folder / "moved")
    path.symlink_to(folder / "moved")
    before = {f: f.read_bytes() for f in (folder / "moved").rglob("*") if f.is_file()} or (
        folder / "moved"
    ).read_bytes()
    with pytest.raises(StateError) as caught:
        opened(folder / "state")
    assert caught.value.exit_code == 5
    after = {f: f.read_bytes() for f in (folder / "moved").rglob("*") if f.is_file()} or (folder / "moved").read_bytes()
    assert before == after


def test_F09_a_state_folder_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "state").symlink_to(folder / "real")
    with pytest.raises(StateError, match="a file or a link"):
        opened(folder / "state")


def test_F12_who_reads_a_round_that_is_pruned_gets_all_of_it_or_a_clean_error(folder: Path) -> None:
    state = opened(folder / "state")
    run_to_end(state, 3, 200_000)
    truth, seen, wrong = undisturbed(40, 200_000), {"whole": 0, "gone": 0}, []
    stop = threading.Event()

    def reader() -> None:
        while not stop.is_set():
            for number in state._store.rounds()[:1]:
                try:
                    found = state._store.read(number)
                except StateError:
                    seen["gone"] += 1
                    continue
                seen["whole"] += 1
                if found.files["model.safetensors"] != truth[number]["model.safetensors"]:
                    wrong.append(number)

    thread = threading.Thread(target=reader)
    thread.start()
    state.newest = state._store.read(3)
    run_to_end(state, 40, 200_000)
    stop.set()
    thread.join()
    state.close("finished")
    assert not wrong
    assert seen["whole"] > 0


def test_pruning_never_takes_the_newest_two_that_are_whole(folder: Path) -> None:
    state = opened(folder / "state")
    commit_unscored(state, 5)
    assert state._store.rounds() == [3, 4, 5]
    for number in (4, 5):
        (folder / "state" / "rounds" / f"{number:06d}" / "model.safetensors").write_bytes(b"damaged")
    state._store._sound.clear()
    assert state._store.prune(keep={4, 5}) == []
    assert state._store.rounds() == [3, 4, 5]


def test_the_newest_three_every_tenth_and_the_best_round_are_kept(folder: Path) -> None:
    state = opened(folder / "state")
    content = first()
    for number in range(1, 26):
        content = next_round(number, content)
        state.commit(number, content, {"record_bytes": 0}, score=1.0 if number == 7 else 0.5)
    assert state._store.rounds() == [7, 10, 20, 23, 24, 25]
    state.close("finished")
