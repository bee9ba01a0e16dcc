"""K07, K08, R15, R16, R19, R22: what the command line and the engines say to a run that is there already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.workplace import open_workplace
from fedmce.cli.audit import verify_file
from fedmce.cli.door import Door
from fedmce.cli.resume import resume
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError, StateError
from fedmce.record import read_record
from server.committed.state_keeper import StateKeeper
from simulations import engines
from tests.faults.killed import quick_folder
from tests.faults.real_run import assert_equal_runs, run, small
from tests.server.made import made_dataset, use


@pytest.fixture(scope="module", autouse=True)
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


def test_R22_a_finished_run_says_so_and_runs_no_round(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(small(), folder / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    resume([f"resume={folder / 'run'}"], Door(), is_quiet=True)
    assert "finished already, all 4 rounds" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_K08_a_finished_run_may_grow_and_ends_as_if_it_had_been_planned_so(folder: Path) -> None:
    run(small(rounds=6, evaluate_every=1), folder / "six")
    run(small(rounds=4, evaluate_every=1), folder / "grown")
    resume([f"resume={folder / 'grown'}", "rounds=6"], Door(), is_quiet=True)
    assert (folder / "six/model.safetensors").read_bytes() == (folder / "grown/model.safetensors").read_bytes()
    results = [json.loads((folder / name / "result.json").read_text(encoding="utf-8")) for name in ("six", "grown")]
    assert [result["rounds"] for result in results] == [6, 6]
    assert results[0]["fingerprint"] == results[1]["fingerprint"]
    assert results[0]["metrics"] == results[1]["metrics"]
    resumed = next(row for row in read_record(folder / "grown") if row["event"] == "resume")
    assert resumed["changes"] == {"rounds": [4, 6]}


def test_K07_the_command_refuses_another_plan_and_leaves_the_run_as_it_was(folder: Path) -> None:
    run(small(), folder / "run", stop_after=3)
    there = [
        path for path in (folder / "run").rglob("*") if path.is_file() and path.name not in ("LOCK", "audit.jsonl")
    ]
    before = {path: path.read_bytes() for path in there}
    with pytest.raises(StateError, match=r"seed: 5 -> 4; training\.lr: 0\.02 -> 0\.5") as caught:
        resume([f"resume={folder / 'run'}", "seed=4", "training.lr=0.5"], Door(), is_quiet=True)
    assert caught.value.exit_code == 5
    assert {path: path.read_bytes() for path in there} == before
    for wrong, said in (("method=moon", "a choice of a group"), ("rouns=9", "rouns")):
        with pytest.raises(ConfigError, match=said):
            resume([f"resume={folder / 'run'}", wrong], Door(), is_quiet=True)
    with pytest.raises(ConfigError, match="needed one run folder"):
        resume([f"resume={folder / 'nowhere'}"], Door(), is_quiet=True)


def test_R19_a_run_that_another_server_works_on_is_left_alone(folder: Path) -> None:
    run(small(), folder / "run", stop_after=3)
    holder = StateKeeper(folder / "run", small(), None)
    before = (folder / "run/record.jsonl").read_bytes()
    with pytest.raises(StateError, match="held by process"):
        engines.run(small(), folder / "run", lambda row: None)
    assert (folder / "run/record.jsonl").read_bytes() == before
    holder.close("checked")


def test_R15_the_command_goes_on_from_an_older_round_once_that_is_accepted(folder: Path) -> None:
    run(small(), folder / "whole")
    run(small(), folder / "run", stop_after=4)
    (folder / "run/state/rounds/000003/model.safetensors").write_bytes(b"damaged")
    with pytest.raises(StateError, match="--accept-rollback"):
        resume([f"resume={folder / 'run'}"], Door(), is_quiet=True)
    resume([f"resume={folder / 'run'}"], Door(), is_quiet=True, accept_rollback=True)
    assert_equal_runs(folder / "whole", folder / "run")
    verify_file(folder / "run")


def test_R16_a_record_that_lost_rows_which_a_round_vouches_for_is_refused(folder: Path) -> None:
    run(small(), folder / "run", stop_after=3)
    record = folder / "run/record.jsonl"
    whole = record.read_bytes()
    for wrong in (whole[:2000], whole[:500] + b"x" + whole[501:], None):
        record.write_bytes(wrong) if wrong is not None else record.unlink()
        with pytest.raises(StateError, match=r"record\.jsonl: its first \d+ bytes are not those"):
            engines.take_up(small(), folder / "run")
    record.write_bytes(whole)
    assert engines.take_up(small(), folder / "run").round == 2


def test_K07_a_server_that_cannot_take_its_state_says_so_in_the_record(folder: Path) -> None:
    run(small(), folder / "run", stop_after=3)
    with pytest.raises(StateError):
        engines.run(small(seed=6), folder / "run", lambda row: None)
    end = read_record(folder / "run")[-1]
    assert (end["event"], end["status"], end["exit_code"]) == ("end", "failed", 5)
    assert "seed: 5 -> 6" in end["reason"]
    run(small(), folder / "run")
    assert read_record(folder / "run")[-1]["status"] == "finished"
