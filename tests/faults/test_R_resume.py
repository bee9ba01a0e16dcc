"""R01-R12, R20, R21, R24, R25: a real federation that was killed ends in the bytes of one that was not."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.workplace import open_workplace
from fedmce.audit import Head, verify
from fedmce.cli.audit import verify_file
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.errors import StateError
from fedmce.flower_compat import Message, identity
from fedmce.record import read_record
from server.committed.state_keeper import StateKeeper
from server.federation import federate
from simulations import engines
from simulations.engines.inprocess import InProcessGrid
from tests.faults.killed import POINTS, in_child, kill_at_random, quick_folder
from tests.faults.real_run import DEPLOYED, ROUNDS, assert_equal_runs, run, small
from tests.faults.scripted import Clock, ScriptedGrid, honest
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
    began = time.monotonic()
    run(small(), folder / "again")
    longest = 0.8 * (time.monotonic() - began)  # so that most kills find a run that is not over, on any machine
    draw, hits = random.Random(12), 0
    for number in range(4):
        there = folder / f"killed{number}"
        hits += kill_at_random(lambda there=there: engines.run(small(), there, lambda row: None), 6, longest, draw)
        assert_equal_runs(folder / "whole", there)
    assert hits > 4


def test_R21_replies_to_the_killed_server_that_come_after_the_resume_are_not_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small(), folder / "whole")
    grids: list[InProcessGrid] = []
    late: dict[str, Message] = {}
    answer, init = InProcessGrid._answer, InProcessGrid.__init__

    def answered(self: InProcessGrid, message: Message) -> str:
        message_id = answer(self, message)
        if message.metadata.group_id == "3" and message.metadata.message_type == "train":
            late[f"m{9000 + len(late)}"] = self._replies[message_id]
        return message_id

    def with_late_replies(self: InProcessGrid, *told: Any) -> None:
        init(self, *told)
        self._replies |= late
        grids.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(InProcessGrid, "_answer", answered)
        run(small(), folder / "resumed", stop_after=3)
    assert len(late) == 4
    with monkeypatch.context() as patch:
        patch.setattr(InProcessGrid, "__init__", with_late_replies)
        run(small(), folder / "resumed")
    assert_equal_runs(folder / "whole", folder / "resumed")
    assert grids[0]._replies == late, "nobody asked for them"


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
