"""G10, and what is written down of a run: its decisions, its memory, to the bit."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.workplace import open_workplace
from fedmce.audit import KINDS
from fedmce.cli.audit import verify_file
from fedmce.data import FederatedDataset
from fedmce.flower_compat import Message
from server.committed.snapshot import Snapshot, from_files, to_files
from server.committed.state_keeper import StateKeeper
from server.roster import SiteProfile
from server.state import GlobalState
from simulations.engines.inprocess import InProcessGrid
from tests.faults.killed import quick_folder
from tests.faults.real_run import run, small
from tests.server.made import made_dataset, use

ADAM: dict[str, Any] = {"aggregation__server__name": "adam", "aggregation__server__lr": 0.05}


@pytest.fixture(scope="module", autouse=True)
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


def test_the_log_of_a_run_holds_its_decisions(folder: Path) -> None:
    run(small(), folder / "run", stop_after=3)
    run(small(), folder / "run")
    text = (folder / "run/state/log/audit.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = {line["kind"] for line in lines}
    assert kinds == {"run_start", "plan", "roster", "join", "grant", "ask", "reply", "commit", "resume", "shutdown"}
    assert kinds < KINDS
    assert [line["round"] for line in lines if line["kind"] == "commit"] == [1, 2, 3, 4]
    accepted = [line for line in lines if line["kind"] == "reply" and line["round"] == 1]
    assert [line["site"] for line in accepted] == ["ash", "birch", "cedar", "dale"]
    assert all(len(line["data"]["digest"]) == 32 and line["data"]["weights"] for line in accepted)
    verify_file(folder / "run")


def test_G10_a_resumed_run_sends_its_first_message_within_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small(), folder / "run", stop_after=3)
    sent: list[float] = []
    answer = InProcessGrid._answer

    def answered(self: InProcessGrid, message: Message) -> str:
        if message.metadata.message_type == "train":
            sent.append(time.process_time())
        return answer(self, message)

    monkeypatch.setattr(InProcessGrid, "_answer", answered)
    began = time.process_time()
    run(small(), folder / "run")
    with capsys.disabled():
        print(f"\nresume to first message: {sent[0] - began:.2f} s of processor time")
    assert sent[0] - began < 1


def test_a_snapshot_comes_back_to_the_bit(folder: Path) -> None:
    run(small(**ADAM), folder / "run", stop_after=3)
    keeper = StateKeeper(folder / "run", small(**ADAM), None)
    found = keeper.found
    keeper.close("checked")
    assert found is not None
    odd = np.array([np.nan, -0.0, np.inf, 1e-310], dtype=np.float64)
    state = dataclasses.replace(
        found.state, shared={"b/odd": odd, "a/flag": np.array(True)}, personal={"ash": {}, "x::y": {"z": odd}}
    )
    again = from_files(to_files(dataclasses.replace(found, state=state)), found.state.round)
    assert list(again.state.model) == list(state.model)
    assert list(again.state.shared) == ["b/odd", "a/flag"]
    assert again.state.shared["b/odd"].tobytes() == odd.tobytes()
    assert again.state.shared["a/flag"].shape == ()
    assert again.state.personal["ash"] == {}
    assert again.state.personal["x::y"]["z"].tobytes() == odd.tobytes()
    assert again.state.quality == state.quality
    assert again.state.norms == state.norms
    assert str(again.profiles) == str(found.profiles)
    assert to_files(again) == to_files(from_files(to_files(again), again.state.round))


def test_nothing_that_the_server_remembers_is_left_out_of_a_snapshot() -> None:
    """Whoever adds a field must write it down and read it back, and then name it here."""
    fields = {kind: {f.name for f in dataclasses.fields(kind)} for kind in (GlobalState, SiteProfile, Snapshot)}
    assert fields[GlobalState] == {"round", "model", "quality", "shared", "optimiser", "personal", "norms"}
    assert fields[SiteProfile] == {
        "site", "node_id", "rows", "validation_rows", "rows_by_modality", "train", "heldout", "class_rows", "sums",
        "test_rows", "entries", "data",
    }  # fmt: skip
    assert fields[Snapshot] == {"state", "statistics", "profiles", "keys", "progress", "nodes"}
