"""R01-R13, R30, G5: SIGKILL at every step of a commit, of a recovery, and at any moment; the end is the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmce.audit import verify
from tests.faults.fake_run import content_of, opened, run_to_end, undisturbed
from tests.faults.killed import POINTS, in_child, kill_at_random, quick_folder

ROUNDS, LAST_SIZE = 6, 4096
PLACES = {"first": 1, "middle": 3, "last": ROUNDS}
KILLED = 9


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


@pytest.fixture(scope="module")
def truth() -> dict[str, bytes]:
    """The last round of a run to which nothing happened."""
    return undisturbed(ROUNDS, LAST_SIZE)[ROUNDS]


def whole_run(state: Path) -> None:
    """What a server process does from its start to its end."""
    run_to_end(folder := opened(state), ROUNDS, LAST_SIZE)
    folder.close("finished")


def assert_as_undisturbed(state: Path, truth: dict[str, bytes]) -> None:
    """Equal bytes, each round in the record and in the log once."""
    folder = opened(state)
    assert (folder.round, content_of(folder)) == (ROUNDS, truth)
    folder.close("checked")
    record = (state / "record.jsonl").read_text(encoding="utf-8").splitlines()
    assert record == [f"round {number}" for number in range(1, ROUNDS + 1)]
    assert verify(state / "log" / "audit.jsonl").is_whole
    assert commits(state) == list(range(1, ROUNDS + 1))
    assert not list((state / "rounds").glob("*.tmp"))


def commits(state: Path) -> list[int]:
    """Rounds that the log calls committed, in its order."""
    lines = (state / "log" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["round"] for line in map(json.loads, lines) if line["kind"] == "commit"]


def recovered(state: Path) -> list[int]:
    lines = (state / "log" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["round"] for line in map(json.loads, lines) if line["data"].get("recovered")]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("point", POINTS, ids=[f"R{number:02d}" for number in range(1, 12)])
def test_R01_to_R11_a_kill_at_any_step_of_a_commit_changes_no_byte(
    folder: Path, truth: dict[str, bytes], point: str, place: str
) -> None:
    state, number = folder / "state", PLACES[place]
    assert in_child(lambda: whole_run(state), f"{point}@{number}") == KILLED
    assert in_child(lambda: whole_run(state)) == 0
    assert_as_undisturbed(state, truth)
    assert recovered(state) == ([number] if point in ("K7", "K8") else [])


@pytest.mark.parametrize("round_number", PLACES.values())
def test_R30_a_commit_whose_line_was_not_written_gets_it_on_restart(folder: Path, round_number: int) -> None:
    state = folder / "state"
    in_child(lambda: whole_run(state), f"K8@{round_number}")
    assert commits(state) == list(range(1, round_number))
    opened(state).close("looked")
    assert (commits(state), recovered(state)) == (list(range(1, round_number + 1)), [round_number])
    opened(state).close("looked again")
    assert recovered(state) == [round_number]


def torn(state: Path) -> None:
    """A state folder that gives recovery all its work: half a round, a torn log, a missing line."""
    in_child(lambda: whole_run(state), "K8@4")
    half = state / "rounds" / "000005.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    with (state / "log" / "audit.jsonl").open("ab") as file:
        file.write(b'{"h":"')


@pytest.mark.parametrize("point", ["V1", "V2", "V3", "V4", "V5", "V6", "V7", "V10"])
def test_R13_a_kill_during_recovery_changes_no_byte(folder: Path, truth: dict[str, bytes], point: str) -> None:
    state = folder / "state"
    torn(state)
    assert in_child(lambda: whole_run(state), point) == KILLED
    assert in_child(lambda: whole_run(state)) == 0
    assert_as_undisturbed(state, truth)


@pytest.mark.parametrize("point", ["V8", "V9"])
def test_R13_a_kill_during_an_accepted_rollback_changes_no_byte(
    folder: Path, truth: dict[str, bytes], point: str
) -> None:
    state = folder / "state"
    in_child(lambda: whole_run(state), "K0@5")
    (state / "rounds" / "000004" / "model.safetensors").write_bytes(b"damaged")
    rollback = lambda: opened(state, accept_rollback=True).close("rolled back")  # noqa: E731
    assert in_child(rollback, point) == KILLED
    assert in_child(rollback) == 0
    assert in_child(lambda: whole_run(state)) == 0
    newest = opened(state)
    assert content_of(newest) == truth
    newest.close("checked")


def test_R12_kills_at_random_moments_change_no_byte(folder: Path, truth: dict[str, bytes]) -> None:
    draw, hits, runs = random.Random(12), 0, 0
    while hits < 20:
        state, runs = folder / f"state{runs}", runs + 1
        state.mkdir()
        hits += kill_at_random(lambda: whole_run(state / "state"), 10, 0.03, draw)  # noqa: B023
        assert_as_undisturbed(state / "state", truth)


@pytest.mark.slow
def test_R12_three_hundred_kills_at_random_moments_change_no_byte(folder: Path, truth: dict[str, bytes]) -> None:
    """G5."""
    draw, hits, runs = random.Random(300), 0, 0
    while hits < 300:
        state, runs = folder / f"state{runs}", runs + 1
        state.mkdir()
        hits += kill_at_random(lambda: whole_run(state / "state"), 12, 0.03, draw)  # noqa: B023
        assert_as_undisturbed(state / "state", truth)
    print(f"{hits} SIGKILLs at random moments in {runs} runs, 0 ended in other bytes")
