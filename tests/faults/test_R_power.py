"""R14, G6: power may go at any moment; no half round is ever loaded, no committed round is ever lost.

After every change to the disk every disk that a power cut may leave is built, and recovery is run on it. Taking out a
flush or the verification must make the same check fail, else it would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedmce.audit import AuditLog, judge
from fedmce.errors import StateError
from server.committed import StateFolder
from server.committed import store as store_module
from server.committed.manifest import Manifest
from tests.faults.fake_run import RECORD, content_of, opened, run_to_end, undisturbed
from tests.faults.ram import Ram, Tree, key_of

SIZE = 8
STATE = Path("/state")
SAMPLE = 40  # disks per cut where flushes are taken out: there are too many


@dataclass
class Tally:
    """What became of the disks."""

    rounds: int = 3
    disks: int = 0
    torn: int = 0
    lost: int = 0
    refused: int = 0
    wrong_end: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def bad(self) -> int:
        return self.torn + self.lost + self.refused + self.wrong_end


def cut_power(ram: Ram, rounds: int = 3, sample: int | None = None) -> Tally:
    """Run a few rounds and recover from every disk that may be left at any moment."""
    tally, draw, reported = Tally(rounds), random.Random(1), 0

    def cut() -> None:
        for tree in ram.root.found() if sample is None else (ram.root.one_found(draw) for _ in range(sample)):
            if (key := f"{reported} {key_of(tree)}") not in tally.seen:
                tally.seen.add(key)
                judge_disk(tree, reported, tally)

    cut()
    ram.after = cut
    state = opened(STATE, ram)
    for number in range(1, rounds + 1):
        run_to_end(state, number, SIZE, ram)
        reported = number
        state.newest = state._store.read(number)
        cut()
    return tally


def judge_disk(tree: Tree, reported: int, tally: Tally) -> None:
    """Recover from one disk, then run to the end."""
    tally.disks += 1
    disk, truth = Ram(tree), undisturbed(tally.rounds, SIZE)
    try:
        state = opened(STATE, disk)
    except StateError:
        tally.refused += 1
        return
    if is_torn(state, truth):
        tally.torn += 1
    elif state.round < reported or lacks_record(state, disk):
        tally.lost += 1
    else:
        tally.wrong_end += run_to_end(state, tally.rounds, SIZE, disk) != truth[tally.rounds]
        lines = disk.read(STATE / "log" / "audit.jsonl").splitlines(keepends=True)
        tally.wrong_end += not judge(lines).is_whole


def is_torn(state: StateFolder, truth: dict[int, dict[str, bytes]]) -> bool:
    """The round that is gone on from is not as it was committed."""
    return state.newest is not None and content_of(state) != truth[state.newest.round]


def lacks_record(state: StateFolder, disk: Ram) -> bool:
    """The record is shorter than the newest round says."""
    record = STATE / RECORD
    there = len(disk.read(record)) if disk.kind(record) else 0
    return state.newest is not None and there < state.newest.facts["record_bytes"]


@pytest.mark.parametrize("rounds", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_R14_no_power_cut_loses_a_committed_round_or_loads_half_of_one(
    rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = cut_power(Ram(), rounds)
    with capsys.disabled():
        print(f"\npower-loss model, {rounds} rounds: {tally.disks} disks, {tally.torn} torn, {tally.lost} lost")
    assert tally.disks > 300
    assert tally.bad == 0, tally


def test_R14_a_power_cut_during_recovery_costs_nothing_either() -> None:
    ram, tally = Ram(), Tally()
    state = opened(STATE, ram)
    run_to_end(state, 2, SIZE, ram)
    state.audit.write("ask", round=3)  # never flushed
    ram.make_folder(STATE / "rounds" / "000003.tmp")
    ram.write(STATE / "rounds" / "000003.tmp" / "MANIFEST", b"half")
    for tree in list(ram.root.found()):
        disk = Ram(tree)

        def cut(disk: Ram = disk) -> None:
            for left in disk.root.found():
                judge_disk(left, 2, tally)

        disk.after = cut
        opened(STATE, disk)
    assert tally.disks > 50
    assert tally.bad == 0, tally


@pytest.mark.parametrize(
    ("files_sync", "folders_sync"), [(False, True), (True, False), (False, False)], ids=["files", "folders", "both"]
)
def test_R14_the_model_notices_that_a_flush_is_missing(files_sync: bool, folders_sync: bool) -> None:
    tally = cut_power(Ram(files_sync=files_sync, folders_sync=folders_sync), sample=SAMPLE)
    assert tally.lost + tally.refused > 0
    assert folders_sync or tally.lost > 0
    assert tally.torn == 0, "the manifest must still tell a torn round"


@pytest.mark.parametrize("forgotten", ["log", "record"])
def test_R14_the_model_notices_that_what_a_round_vouches_for_is_not_flushed(
    forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forgotten == "log":
        monkeypatch.setattr(AuditLog, "sync", lambda self: None)
    else:
        monkeypatch.setattr(StateFolder, "_flush", lambda self, path: None)
    assert cut_power(Ram(), sample=SAMPLE).bad > 0


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes out all verification when called."""

    def read(self: store_module.Store, folder: Path, number: int) -> store_module.Committed:
        there = {name: self._files.read(folder / name) for name in self._files.names(folder) if name != "MANIFEST"}
        return store_module.Committed(
            number, there, Manifest(self.run, number, {}, 0, "", ""), {"audit": "0:" + "0" * 64}
        )

    def take_out() -> None:
        monkeypatch.setattr(store_module.Store, "_read", read)
        monkeypatch.setattr("server.committed.recovery._problems", lambda found, log, broken: [])
        monkeypatch.setattr("server.committed.recovery._another", lambda found: 0)

    return take_out


def test_R14_the_model_notices_that_verification_is_missing(unverified: Callable[[], None]) -> None:
    ram, tally, draw = Ram(), Tally(), random.Random(1)
    state = opened(STATE, ram)
    ram.files_sync = False
    run_to_end(state, 3, SIZE, ram)
    unverified()
    for _ in range(SAMPLE):
        disk = Ram(ram.root.one_found(draw))
        tally.torn += is_torn(opened(STATE, disk), undisturbed(3, SIZE))
    assert tally.torn > 0
