"""R15-R19, R22, R23, R27-R29, K07, K08: a state folder that somebody touched is refused by name, and never repaired in silence."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedmce.audit import verify
from fedmce.errors import StateError
from server.committed import lock as lock_module
from tests.faults.fake_run import PLAN, VERSIONS, content_of, opened, run_to_end, undisturbed
from tests.faults.killed import in_child, quick_folder

ROUNDS = 4


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder after four rounds, closed."""
    with quick_folder(tmp_path) as quick:
        folder = opened(quick / "state")
        run_to_end(folder, ROUNDS)
        folder.close("interrupted")
        yield quick / "state"


def newest(state: Path) -> Path:
    return state / "rounds" / f"{ROUNDS:06d}"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def linked(path: Path) -> None:
    moved = path.with_name("elsewhere")
    path.rename(moved)
    path.symlink_to(moved)


def of_another_round(path: Path) -> None:
    shutil.copy(path.parents[1] / f"{ROUNDS - 1:06d}" / path.name, path)


DAMAGES = [flip, cut, empty, gone, linked, of_another_round]


def assert_refused_then_rolled_back(state: Path, *named: str) -> None:
    """Refused with everything named, nothing touched; taken from the round before once that is accepted."""
    before = snapshot(state / "rounds")
    for _ in range(2):
        with pytest.raises(StateError) as caught:
            opened(state)
        assert caught.value.exit_code == 5
        assert all(name in str(caught.value) for name in (*named, "--accept-rollback")), caught.value
    assert snapshot(state / "rounds") == before
    folder = opened(state, accept_rollback=True)
    assert (folder.round, content_of(folder)) == (ROUNDS - 1, undisturbed(ROUNDS)[ROUNDS - 1])
    folder.close("interrupted")
    folder = opened(state)  # accepted once is accepted
    assert run_to_end(folder, ROUNDS + 1) == undisturbed(ROUNDS + 1)[ROUNDS + 1]
    folder.close("finished")
    assert verify(state / "log" / "audit.jsonl").is_whole


@pytest.mark.parametrize("damage", DAMAGES)
def test_R15_a_damaged_manifest_is_refused_by_name(state: Path, damage: Callable[[Path], None]) -> None:
    damage(newest(state) / "MANIFEST")
    assert_refused_then_rolled_back(
        state, f"round {ROUNDS}", "MANIFEST" if damage is not gone else "MANIFEST is not there"
    )
    assert [path.name for path in (state / "quarantine").iterdir()] == [f"{ROUNDS:06d}-0"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.safetensors", "server_opt.safetensors", "round.json"])
def test_R16_a_damaged_file_is_refused_by_name(state: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(newest(state) / name)
    assert_refused_then_rolled_back(state, f"round {ROUNDS}", name)


def test_R16_a_round_of_another_run_is_refused(state: Path, tmp_path: Path) -> None:
    other = opened(tmp_path / "other")
    run_to_end(other, ROUNDS)
    other.close("finished")
    shutil.rmtree(newest(state))
    shutil.copytree(newest(tmp_path / "other"), newest(state))
    assert_refused_then_rolled_back(state, "of run")


def test_R16_a_round_that_was_made_to_fit_its_own_checksums_is_not_the_one_that_the_log_saw(state: Path) -> None:
    from server.committed.manifest import Manifest

    folder = newest(state)
    before = Manifest.of_bytes((state / "rounds" / f"{ROUNDS - 1:06d}" / "MANIFEST").read_bytes())
    content = {f.name: f.read_bytes() for f in folder.iterdir() if f.name != "MANIFEST"}
    content["model.safetensors"] = b"forged"
    (folder / "model.safetensors").write_bytes(b"forged")
    (folder / "MANIFEST").write_bytes(Manifest.of_content(before.run, ROUNDS, content, before).to_bytes())
    assert_refused_then_rolled_back(state, "the log saw another one committed")


def test_R17_a_round_that_the_log_has_and_the_disk_has_not_is_refused(state: Path) -> None:
    shutil.rmtree(newest(state))
    assert_refused_then_rolled_back(state, f"round {ROUNDS} was committed", f"newest sound round is {ROUNDS - 1}")


def test_R17_a_log_that_lost_what_a_round_vouches_for_is_refused(state: Path) -> None:
    log = state / "log" / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for damaged in (b"".join(lines[:9]), b"".join(lines[:9] + lines[10:]), None):
        log.write_bytes(damaged) if damaged is not None else log.unlink()
        with pytest.raises(StateError, match=r"audit\.jsonl: (line 10|not there)"):
            opened(state)
    opened(state, accept_rollback=True).close("accepted")
    folder = opened(state)
    assert folder.round == ROUNDS
    assert run_to_end(folder, ROUNDS + 1) == undisturbed(ROUNDS + 1)[ROUNDS + 1]
    folder.close("finished")
    from fedmce.cli.audit import heads_in_rounds

    heads = [head for _, head in heads_in_rounds(state / "rounds")]
    assert verify(log, heads=heads).is_whole, "the new log owns up to the heads that rounds keep of the old one"


def test_R18_a_state_folder_that_was_copied_to_another_machine_works(state: Path, tmp_path: Path) -> None:
    told = {"pid": os.getpid(), "host": "elsewhere", "boot": "another", "started": 1}
    (state / "LOCK").write_text(json.dumps(told), encoding="utf-8")
    shutil.copytree(state, tmp_path / "copy")
    folder = opened(tmp_path / "copy")
    assert run_to_end(folder, ROUNDS + 1) == undisturbed(ROUNDS + 1)[ROUNDS + 1]
    folder.close("finished")


def test_R19_a_lock_left_by_a_dead_process_is_taken(state: Path) -> None:
    from tests.faults.test_R_kills import whole_run

    assert in_child(lambda: whole_run(state), "K0@5") == 9
    left = json.loads((state / "LOCK").read_text(encoding="utf-8"))
    assert left["host"] == socket.gethostname()
    opened(state).close("taken")


def test_R19_a_lock_of_a_living_process_is_respected(state: Path) -> None:
    holder = opened(state)
    with pytest.raises(StateError, match=f"held by process {os.getpid()} on {socket.gethostname()}") as caught:
        opened(state)
    assert caught.value.exit_code == 5
    holder.close("finished")
    opened(state).close("finished")


def test_R19_a_living_holder_is_respected_where_the_kernel_lock_does_not_reach(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = opened(state)
    monkeypatch.setattr(lock_module.fcntl, "flock", lambda fd, how: None)
    with pytest.raises(StateError, match="held by process"):
        opened(state)
    monkeypatch.setattr(lock_module, "boot_id", lambda: "after a restart of the machine")
    opened(state).close("taken")
    del holder


def test_R22_a_run_whose_rounds_are_all_there_runs_none(state: Path) -> None:
    folder = opened(state)
    before = snapshot(state / "rounds")
    assert run_to_end(folder, ROUNDS) == undisturbed(ROUNDS)[ROUNDS]
    folder.close("finished")
    assert snapshot(state / "rounds") == before


def test_R23_of_two_resumes_at_once_one_wins(state: Path) -> None:
    fork = multiprocessing.get_context("fork")
    said: multiprocessing.SimpleQueue[str] = fork.SimpleQueue()
    done = fork.Event()

    def resume() -> None:
        try:
            opened(state)
        except StateError as error:
            said.put(f"lost {error.exit_code}")
        else:
            said.put("won")
            done.wait(60)

    both = [fork.Process(target=resume) for _ in range(2)]
    for process in both:
        process.start()
    assert sorted(said.get() for _ in both) == ["lost 5", "won"]
    done.set()
    for process in both:
        process.join(60)


def test_R27_other_versions_are_allowed_and_told(state: Path) -> None:
    folder = opened(state, versions={**VERSIONS, "numpy": "2", "torch": "3"})
    assert any("numpy 1 -> 2" in note and "torch None -> 3" in note for note in folder.notes)
    assert content_of(folder) == undisturbed(ROUNDS)[ROUNDS]
    folder.close("finished")
    resumed = [json.loads(line) for line in (state / "log" / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("numpy 1 -> 2" in str(line["data"]) for line in resumed if line["kind"] == "resume")


def test_R29_unknown_files_are_left_alone_and_told(state: Path) -> None:
    (state / "notes.txt").write_text("mine", encoding="utf-8")
    (state / "rounds" / "README").write_text("mine too", encoding="utf-8")
    folder = opened(state)
    assert any("notes.txt" in note for note in folder.notes)
    run_to_end(folder, ROUNDS + 4)
    folder.close("finished")
    assert (state / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (state / "rounds" / "README").read_text(encoding="utf-8") == "mine too"


def test_K07_another_plan_is_refused_with_the_keys_that_differ(state: Path) -> None:
    other = {**PLAN, "training": {"lr": 0.2, "epochs": 3}}
    with pytest.raises(StateError, match=r"training.epochs: None -> 3; training.lr: 0.1 -> 0.2") as caught:
        opened(state, plan=other)
    assert caught.value.exit_code == 5
    opened(state).close("finished")


def test_K08_rounds_may_grow_and_the_seed_may_not(state: Path) -> None:
    with pytest.raises(StateError, match="seed: 3 -> 4"):
        opened(state, plan={**PLAN, "seed": 4, "rounds": 9})
    with pytest.raises(StateError, match="rounds: 6 -> 5"):
        opened(state, plan={**PLAN, "rounds": 5})
    folder = opened(state, plan={**PLAN, "rounds": 9, "exchange": {"deadline_s": 60.0}})
    assert folder.changes == {"rounds": (6, 9), "exchange.deadline_s": (900.0, 60.0)}
    folder.close("finished")
    assert "config_change" in (state / "log" / "audit.jsonl").read_text(encoding="utf-8")


def test_K07_a_damaged_run_file_is_refused(state: Path) -> None:
    flip(state / "run.json")
    with pytest.raises(StateError, match=r"run\.json"):
        opened(state)
    (state / "run.json").unlink()
    with pytest.raises(StateError, match=r"holds rounds but no run\.json"):
        opened(state)


def test_G10_a_state_of_many_rounds_is_recovered_within_a_second(state: Path) -> None:
    folder = opened(state)
    run_to_end(folder, 200)
    folder.close("interrupted")
    began = time.monotonic()
    opened(state).close("finished")
    assert time.monotonic() - began < 1
