"""F03-F05: disks that fail, are read-only, or cannot do what is needed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmce.errors import StateError
from tests.faults.fake_run import content_of, next_round, opened, run_to_end, undisturbed
from tests.faults.killed import quick_folder
from tests.faults.sick_disk import Clock, failing


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


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
