"""F07-F09, F12: open files, rights, planted links, readers of what is removed; and which rounds stay."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmce.errors import StateError
from tests.faults.fake_run import commit_unscored, first, next_round, opened, run_to_end, undisturbed
from tests.faults.killed import in_child, quick_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


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
