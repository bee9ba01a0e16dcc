"""R12, R20-R22, R24-R27, R29: a real federation that was killed ends in the bytes of one that was not."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.workplace import open_workplace
from fedmce.audit import KINDS, Head, verify
from fedmce.cli.audit import verify_file
from fedmce.cli.door import Door
from fedmce.cli.resume import resume
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError, StateError
from fedmce.flower_compat import Message, identity
from fedmce.record import read_record
from server.committed.keeper import StateKeeper
from server.committed.snapshot import Snapshot, from_files, to_files
from server.federation import federate
from server.roster import SiteProfile
from server.state import GlobalState
from simulations import engines
from simulations.engines.inprocess import InProcessGrid
from tests.faults.killed import POINTS, in_child, kill_at_random, quick_folder
from tests.faults.scripted import Clock, ScriptedGrid, honest
from tests.server.made import made_config, made_dataset, use

ROUNDS = 4
TIMES = ("time", "timing", "seconds", "total_s", "train_s", "evaluate_s")


@pytest.fixture(scope="module", autouse=True)
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as quick:
        yield quick


DEPLOYED = {
    "engine__name": "deployed",
    "privacy__i_know": True,
    "exchange__wait_sites_s": 0.5,
    "exchange__accept_min": 1,
}


def small(method: str = "fedmce", **changes: Any) -> RunConfig:
    return made_config(method, **({"rounds": ROUNDS, "evaluate_every": 2} | changes))


def run(config: RunConfig, folder: Path, stop_after: int = 0) -> None:
    """Run in this process; with ``stop_after`` it dies when that round is recorded and not yet committed."""

    def watch(row: dict[str, Any]) -> None:
        if row["event"] == "round" and row["round"] == stop_after:
            raise RuntimeError("stopped by the test")

    if stop_after:
        with pytest.raises(RuntimeError, match="stopped by the test"):
            engines.run(config, folder, watch)
    else:
        engines.run(config, folder, watch)


def plain(tree: Any) -> Any:
    """The tree without what a clock has said."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items() if key not in TIMES}
    return [plain(value) for value in tree] if isinstance(tree, list) else tree


def rows(folder: Path) -> list[str]:
    """The record as text, key order included, without times and the row that says that it was resumed."""
    return [json.dumps(plain(row)) for row in read_record(folder) if row["event"] != "resume"]


def assert_equal_runs(one: Path, other: Path) -> None:
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows(one) == rows(other)
    results = [plain(json.loads((folder / "result.json").read_text(encoding="utf-8"))) for folder in (one, other)]
    for result in results:
        result["cost"].pop("seconds_by_site")
        result.pop("timing", None)
    assert results[0] == results[1]


METHODS: dict[str, dict[str, Any]] = {
    "smoothed contributions": {},
    "server momentum": {"aggregation__server__name": "momentum"},
    "server adam": {"aggregation__server__name": "adam", "aggregation__server__lr": 0.05},
    "norm history": {"aggregation__robust__rule": "clip"},
    "private heads": {"aggregation__private": ["head"]},
    "memory of sites": {"method": "moon"},
    "states per site": {"method": "fedmsplit"},
    "auto deadline": {"exchange__deadline": "auto"},
}


QUICK = ("smoothed contributions", "server adam", "private heads")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in METHODS])
def test_R24_R25_a_resumed_run_ends_in_the_bytes_of_an_undisturbed_one(folder: Path, name: str) -> None:
    config = small(**METHODS[name])
    run(config, folder / "whole")
    run(config, folder / "resumed", stop_after=3)
    run(config, folder / "resumed")
    assert_equal_runs(folder / "whole", folder / "resumed")
    assert [row["round"] for row in read_record(folder / "resumed") if row["event"] == "resume"] == [2]


def test_a_run_that_died_before_its_first_commit_begins_anew(folder: Path) -> None:
    run(small(), folder / "whole")
    run(small(), folder / "resumed", stop_after=1)
    run(small(), folder / "resumed")
    assert_equal_runs(folder / "whole", folder / "resumed")


def test_commits_every_second_round_cost_at_most_that_many(folder: Path) -> None:
    config = small(rounds=5, exchange__commit_every=2)
    run(config, folder / "whole")
    run(config, folder / "resumed", stop_after=4)
    assert [path.name for path in sorted((folder / "resumed/state/rounds").iterdir())] == ["000002"]
    run(config, folder / "resumed")
    assert_equal_runs(folder / "whole", folder / "resumed")
    assert [path.name for path in sorted((folder / "whole/state/rounds").iterdir())] == ["000002", "000004", "000005"]


def test_a_run_without_commits_leaves_no_state(folder: Path) -> None:
    run(small(exchange__commit_every=0), folder / "run")
    assert not (folder / "run/state").exists()
    with pytest.raises(StateError, match="commit_every above 0"):
        engines.take_up(small(), folder / "run")


def test_how_often_a_run_commits_decides_no_number(folder: Path) -> None:
    often, never = small(), small(exchange__commit_every=0)
    assert often.fingerprint() == never.fingerprint()
    run(often, folder / "often")
    run(never, folder / "never")
    assert (folder / "often/model.safetensors").read_bytes() == (folder / "never/model.safetensors").read_bytes()


KILLS = ["K3@1", "K8@2"]


def killed_and_resumed(folder: Path, points: list[str]) -> None:
    run(small(), folder / "whole")
    for number, point in enumerate(points):
        there = folder / f"killed{number}"
        assert in_child(lambda there=there: engines.run(small(), there, lambda row: None), point) == 9, point
        engines.take_up(small(), there)
        run(small(), there)
        assert_equal_runs(folder / "whole", there)
        verify_file(there)
        shutil.rmtree(there)


def test_R01_to_R11_kills_in_a_real_round_change_no_byte(folder: Path) -> None:
    killed_and_resumed(folder, KILLS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_R01_to_R11_kills_at_every_step_of_first_middle_and_last_round_change_no_byte(folder: Path) -> None:
    killed_and_resumed(folder, [f"{point}@{number}" for point in POINTS for number in (1, 2, ROUNDS)])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_R12_kills_at_random_moments_of_a_real_run_change_no_byte(folder: Path) -> None:
    run(small(), folder / "whole")
    draw, hits = random.Random(12), 0
    for number in range(4):
        there = folder / f"killed{number}"
        hits += kill_at_random(lambda there=there: engines.run(small(), there, lambda row: None), 6, 2.0, draw)
        assert_equal_runs(folder / "whole", there)
    assert hits > 4


def test_R21_replies_to_the_killed_server_are_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(small(), folder / "whole")
    old: list[Message] = []
    answer, pull = InProcessGrid._answer, InProcessGrid.pull_messages

    def answered(self: InProcessGrid, message: Message) -> str:
        message_id = answer(self, message)
        if message.metadata.group_id == "3" and message.metadata.message_type == "train":
            old.append(self._replies[message_id])
        return message_id

    with monkeypatch.context() as patch:
        patch.setattr(InProcessGrid, "_answer", answered)
        run(small(), folder / "resumed", stop_after=3)
    assert len(old) == 4
    for reply in old:
        reply.metadata.__dict__["_reply_to_message_id"] = f"of the killed server, {reply.metadata.src_node_id}"

    def pulled(self: InProcessGrid, message_ids: Any) -> Any:
        late, old[:] = list(old), []
        return [*late, *pull(self, message_ids)]

    with monkeypatch.context() as patch:
        patch.setattr(InProcessGrid, "pull_messages", pulled)
        monkeypatch.setattr("server.profile_round.exchange", _without(old, "server.profile_round.exchange"))
        run(small(), folder / "resumed")
    assert (folder / "whole/model.safetensors").read_bytes() == (folder / "resumed/model.safetensors").read_bytes()
    strays = [s for row in read_record(folder / "resumed") if row["event"] == "round" for s in row.get("strays", [])]
    assert len(strays) == 4


def _without(old: list[Message], name: str) -> Any:
    """An exchange during which the late replies do not arrive yet."""
    import server.profile_round as module

    real = module.exchange

    def exchange(*told: Any) -> Any:
        late, old[:] = list(old), []
        try:
            return real(*told)
        finally:
            old[:] = late

    return exchange


def deployed(config: RunConfig, folder: Path, offline: tuple[str, ...] = (), stop_after: int = 0) -> None:
    """A server process between sites, of which some are not there."""

    def watch(row: dict[str, Any]) -> None:
        if row["event"] == "round" and row["round"] == stop_after:
            raise RuntimeError("stopped by the test")

    folder.mkdir(exist_ok=True)
    with identity(1) as description, contextlib.suppress(RuntimeError):
        grid = ScriptedGrid(list(made_dataset().sites), description, Clock(), honest)
        for name in offline:
            grid.site(name).online = False
        federate(grid, config, folder, watch)


@pytest.mark.parametrize("change", ["one fewer", "one more"])
def test_R20_a_run_goes_on_with_a_site_fewer_or_more(folder: Path, change: str) -> None:
    config = small(**DEPLOYED)
    before, after = ((), ("birch",)) if change == "one fewer" else (("birch",), ())
    deployed(config, folder / "run", before, stop_after=3)
    deployed(config, folder / "run", after)
    found = read_record(folder / "run")
    asked = {row["round"]: row["asked"] for row in found if row["event"] == "round"}
    assert [("birch" in asked[number]) for number in (1, 2, 3, 4)] == (
        [True, True, False, False] if change == "one fewer" else [False, False, True, True]
    )
    assert found[-1]["status"] == "finished"
    assert sorted(row["site"] for row in found if row["event"] == "profile") == ["ash", "birch", "cedar", "dale"]


def test_R20_the_keys_of_the_sites_are_remembered(folder: Path) -> None:
    config = small(**DEPLOYED)
    deployed(config, folder / "run", stop_after=3)
    keeper = StateKeeper(folder / "run", config, None)
    assert keeper.found is not None
    assert sorted(keeper.found.keys) == ["ash", "birch", "cedar", "dale"]
    assert len(set(keeper.found.keys.values())) == 4
    keeper.close("checked")


def test_the_head_of_the_log_that_sites_are_told_is_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    answer = InProcessGrid._answer

    def answered(self: InProcessGrid, message: Message) -> str:
        order = message.content.config_records.get("order", {})
        told.append(str(order.get("audit_head", "")))
        return answer(self, message)

    monkeypatch.setattr(InProcessGrid, "_answer", answered)
    deployed(small(**DEPLOYED), folder / "run")
    heads = [Head.of(text) for text in dict.fromkeys(told) if text]
    assert len(heads) >= ROUNDS
    assert verify(folder / "run/state/log/audit.jsonl", heads=heads).is_whole


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
    run(small(**METHODS["server adam"]), folder / "run", stop_after=3)
    keeper = StateKeeper(folder / "run", small(**METHODS["server adam"]), None)
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
        "test_rows", "entries",
    }  # fmt: skip
    assert fields[Snapshot] == {"state", "statistics", "profiles", "keys", "progress", "nodes"}
