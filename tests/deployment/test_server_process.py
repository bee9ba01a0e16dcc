"""What a supervisor takes for dead, for alive and for another's; keys that come and go while it looks on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from fedmce.errors import RunError
from fedmce.kits.keys import make_node_key
from fedmce.kits.manage import register, revoke
from fedmce.kits.server_folder import ServerFolder
from fedmce.record import RecordWriter
from server.committed.lock import HeldError, Lock
from server.committed.room import Room
from server.heartbeat import HEARTBEAT, heartbeat
from server.operator_word import Told, Words
from simulations import flower_cli
from simulations.deployment import registration, server_process, server_up
from simulations.deployment.registration import Registration
from simulations.deployment.server_process import SILENT_S, ServerProcess
from simulations.deployment.server_up import RESTARTS, Ports, ServerRun
from simulations.ports import free_ports
from simulations.processes import runs
from tests.faults.sick_disk import Clock
from tests.kits.made import LATER, project


def beat(folder: Path, pid: int) -> Path:
    path = folder / "heartbeat.json"
    path.write_text(json.dumps({"pid": pid}))
    return path


def test_S01_a_process_that_died_and_that_nobody_has_asked_after_is_gone(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    beat(tmp_path, child.pid)
    server = ServerProcess(tmp_path)
    assert server.what_became_of_it() is None
    child.kill()
    end = time.monotonic() + 60
    while runs(child.pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert server.what_became_of_it() == "its process is gone"  # though it still has a number
    began = time.monotonic()
    server.end()
    assert time.monotonic() - began < 8  # nobody waits for the dead
    assert server.pid is None
    child.wait()


def test_S04_a_process_that_is_dying_is_not_gone_while_one_of_its_threads_holds_the_state(tmp_path: Path) -> None:
    """As after a kill, when the first thread is dead and others are not yet; drawn out to some seconds."""
    state = tmp_path / "state"
    state.mkdir()
    program = (
        "import ctypes, os, pathlib, sys, threading; from server.committed.lock import Lock; "
        "held = Lock(pathlib.Path(sys.argv[1])); "
        "threading.Thread(target=lambda: (sys.stdin.readline(), os._exit(0))).start(); "
        "ctypes.CDLL(None).syscall(ctypes.c_long(93 if os.uname().machine == 'aarch64' else 60), 0)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(state)], stdin=subprocess.PIPE)
    assert child.stdin is not None
    beat(tmp_path, child.pid)
    server, end = ServerProcess(tmp_path), time.monotonic() + 60
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.02)
    assert server.what_became_of_it() is None
    child.stdin.close()
    while server.what_became_of_it() is None and time.monotonic() < end:
        time.sleep(0.001)
    server.end()  # raises if the state is still held
    child.wait()


def test_S01_a_process_that_gives_no_sign_of_life_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Clock(), beat(tmp_path, os.getpid())
    monkeypatch.setattr(server_process, "time", clock)
    server = ServerProcess(tmp_path)
    for touched in (5, 4, 10**9):  # by the wall clock, which may be set back, or far ahead
        assert server.what_became_of_it() is None
        clock.sleep(SILENT_S)
        assert server.what_became_of_it() is None
        os.utime(path, (touched, touched))
    clock.sleep(1.0)
    assert server.what_became_of_it() is None
    clock.sleep(SILENT_S + 1)
    assert "no heartbeat" in str(server.what_became_of_it())


def test_a_full_disk_does_not_look_like_the_death_of_a_process_that_waits_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path, server = tmp_path / HEARTBEAT, ServerProcess(tmp_path)
    with heartbeat(tmp_path, every_s=0.01):
        assert soon(path.exists)
        monkeypatch.setattr(Path, "write_text", full)
        for _ in range(3):
            before = path.stat().st_mtime_ns
            assert soon(lambda before=before: path.stat().st_mtime_ns > before)
        assert server.pid == os.getpid()
        assert server.what_became_of_it() is None
    assert not path.exists()


def soon(law: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not law():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_S01_only_an_end_of_the_run_that_goes_on_is_one(tmp_path: Path) -> None:
    """Also where the end of an earlier run was cut away and the next one died before it wrote a row."""
    seen = list[str]()
    run: Any = ServerRun(ServerFolder(tmp_path), Ports(), lambda row: seen.append(row["event"]), lambda line: None)
    assert run._drain() is None
    (tmp_path / "run").mkdir()
    record = RecordWriter(tmp_path / "run")
    record.write("start")
    kept = (tmp_path / "run" / "record.jsonl").stat().st_size
    ended = record.write("end", status="interrupted")
    assert run._drain() == ended
    run._last_end = run._newest_end
    assert run._drain() is None
    os.truncate(tmp_path / "run" / "record.jsonl", kept)
    assert run._drain() is None
    run._last_end = run._newest_end
    assert run._drain() is None
    record.write("resume")
    assert run._drain() is None
    ended = record.write("end", status="finished")
    assert run._drain() == ended
    assert seen == ["start", "end", "resume", "end"]


@pytest.mark.parametrize(("beats", "asked"), [(True, 2), (False, 8)])
def test_S01_flower_is_asked_for_a_run_less_often_while_its_process_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beats: bool, asked: int
) -> None:
    clock, states = Clock(), list[str]()

    def run_state(run_id: str, _: Any) -> flower_cli.RunState:
        states.append(run_id)
        return flower_cli.RunState("running", "")

    run: Any = ServerRun(ServerFolder(tmp_path), Ports(), lambda row: None, lambda line: None)
    monkeypatch.setattr(server_up, "time", clock)
    monkeypatch.setattr(server_up, "run_state", run_state)
    monkeypatch.setattr(run, "_drain", lambda: {"status": "failed", "reason": "x"} if clock.now > 121 else None)
    if beats:
        (tmp_path / "run").mkdir()
        beat(tmp_path / "run", os.getpid())
    program, registration = SimpleNamespace(is_alive=True), SimpleNamespace(follow=lambda _: None)
    assert run._watch("7", {}, (program, program), registration) == "failed: x"
    assert states == ["7"] * asked


def test_S17_a_run_that_another_server_works_on_is_not_begun_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    ServerProcess(tmp_path).end()
    held = Lock(state)
    with pytest.raises(HeldError, match=f"process {os.getpid()} on"):
        ServerProcess(tmp_path).end()
    held.release()
    ServerProcess(tmp_path).end()


def test_S17_a_second_server_on_the_folder_ends_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("what the first server started was ended")

    monkeypatch.setattr(server_up, "stop_all", touched)
    monkeypatch.setattr(server_up, "refuse", lambda *_: None)
    monkeypatch.setattr(server_up, "check_port_is_free", lambda *_: None)
    monkeypatch.setattr(ServerRun, "_config", lambda self: None)
    folder = project(tmp_path / "server")
    first = Lock(folder.path)
    port = free_ports(3)
    with pytest.raises(HeldError, match=f"process {os.getpid()} on") as caught:
        ServerRun(folder, Ports(port, port + 1, port + 2), lambda row: None, lambda line: None).up()
    assert caught.value.exit_code == 5
    first.release()


def test_S01_S02_what_flower_still_takes_for_running_is_ended_but_for_the_new_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = {"1": "finished:failed", "2": "running", "3": "pending", "4": "starting", "5": "finished:stopped"}
    stopped = list[str]()

    def flwr(arguments: list[str], _: Any) -> dict[str, Any]:
        if arguments[0] == "stop":
            stopped.append(arguments[1])
            return {"success": True}
        assert arguments[0] == "list"
        return {"runs": [{"run-id": run, "status": status} for run, status in states.items()]}

    monkeypatch.setattr(flower_cli, "flwr", flwr)
    assert flower_cli.stop_other_runs("4", {}) == stopped == ["2", "3"]


class Ends:
    """Stands for runs of Flower's: each ends in its way, and what it finds on its way out may change the disk."""

    def __init__(self, *ways: str | Exception) -> None:
        self.left = list(ways)

    def __call__(self, *_: object) -> str:
        way = self.left.pop(0)
        if isinstance(way, Exception):
            raise way
        return way


def supervised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Ends, is_full: Callable[[float], bool]
) -> tuple[Any, list[str]]:
    """A supervisor whose disk is full at times of a clock of its own, and what it says."""
    clock, said = Clock(), list[str]()
    run: Any = ServerRun(ServerFolder(tmp_path), Ports(), lambda row: None, said.append)
    run._room = Room(tmp_path, run._say_full, lambda folder: 0 if is_full(clock.now) else 2**30, clock)
    monkeypatch.setattr(run, "_once", ends)
    monkeypatch.setattr(run, "_revive", lambda *_: None)
    return run, said


FULL_DISK, NO_ANSWER = OSError(errno.ENOSPC, "No space left on device"), RunError("flwr run: no answer")


def test_a_full_disk_is_waited_for_and_no_run_is_blamed_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = ["Flower lists it as finished:failed", FULL_DISK, NO_ANSWER]
    ends = Ends(*ways * (RESTARTS + 1), "finished")
    # Each end finds it full, and room a second later.
    run, said = supervised(tmp_path, monkeypatch, ends, lambda now: now % 2 == 0)
    monkeypatch.setattr(run, "_revive", lambda *_: run._room._clock.sleep(1.0))
    run._run_to_the_end(SimpleNamespace(rounds=9), {}, (None, None))
    assert ends.left == []
    assert run.restarts == 0
    assert "is full (nothing free, or too many files; 8.0 MiB needed); going on when there is room" in said[0]


def test_a_full_disk_is_told_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, said = supervised(
        tmp_path, monkeypatch, Ends("Flower lists it as finished:failed", "finished"), lambda now: now < 130
    )
    run._run_to_the_end(SimpleNamespace(rounds=9), {}, (None, None))
    assert [line.partition(" (")[0] for line in said[:-1]] == [f"the disk of {tmp_path} is full"] * 3
    assert said[-1] == "the run ended (Flower lists it as finished:failed); going on after round 0"


def test_a_disk_that_fills_up_while_a_run_is_handed_to_flower_is_told_after_one_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = supervised(tmp_path, monkeypatch, Ends(), lambda now: now < 30)
    clock, tries = run._room._clock, list[float]()

    def flwr(*_: object) -> dict[str, Any]:
        tries.append(clock.now)
        if clock.now < 30:
            raise NO_ANSWER
        return {"run-id": 7}

    monkeypatch.setattr(server_up, "time", clock)
    monkeypatch.setattr(server_up, "flwr", flwr)
    monkeypatch.setattr(run, "_once", lambda *_: run._submit({}) and "finished")
    run._run_to_the_end(SimpleNamespace(rounds=9), {}, (None, None))
    assert tries == [0, 30]
    assert said[0].startswith(f"the disk of {tmp_path} is full")
    assert said[-1] == "the run ended (the disk is full); going on after round 0"
    assert run.restarts == 0


def test_with_room_on_the_disk_a_refusal_of_flower_s_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = supervised(tmp_path, monkeypatch, Ends(NO_ANSWER), lambda now: False)
    with pytest.raises(RunError, match="no answer"):
        run._run_to_the_end(SimpleNamespace(rounds=9), {}, (None, None))
    run, _ = supervised(tmp_path, monkeypatch, Ends(OSError(errno.EIO, "Input/output error")), lambda now: False)
    with pytest.raises(OSError, match="Input/output"):
        run._run_to_the_end(SimpleNamespace(rounds=9), {}, (None, None))


def test_a_lock_needs_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise FULL_DISK

    monkeypatch.setattr(os, "pwrite", full)
    held = Lock(tmp_path)
    with pytest.raises(HeldError):
        Lock(tmp_path)
    held.release()
    Lock(tmp_path).release()


class Flower:
    """Answers as ``flwr`` does."""

    def __init__(self, folder: ServerFolder) -> None:
        (folder.path / "superlink.db").touch()
        self.asked: list[str] = []
        self.is_down = False

    def __call__(self, arguments: list[str], _: Any) -> dict[str, Any]:
        if self.is_down:
            raise RunError("flwr supernode: no answer")
        verb = arguments[1]
        self.asked.append(f"{verb} {arguments[-1] if verb == 'register' else arguments[2]}")
        return {"node-id": str(len(self.asked))}


def test_T07_keys_are_registered_and_revoked_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "server")
    flower, said, run = Flower(folder), list[str](), folder.path / "run"
    run.mkdir()
    monkeypatch.setattr(registration, "flwr", flower)
    keys = Registration(folder, run, said.append)
    keys.bring({})
    assert flower.asked == ["register north", "register south"]
    keys.follow({})
    assert len(flower.asked) == 2
    make_node_key(tmp_path / "second")
    register(folder.path, tmp_path / "second" / "node.pub", LATER, "north")
    keys.follow({})
    assert flower.asked[2:] == ["register north"]
    old = json.loads(folder.roster.read_text())["nodes"][0]["fingerprint"]
    revoke(folder.path, "north", LATER, [old])
    flower.is_down = True
    keys.follow({})
    assert "could not be brought to Flower yet" in said[-1]
    flower.is_down, keys._not_before = False, 0.0
    keys.follow({})
    assert flower.asked[3:] == ["unregister 1"]
    assert Words(run).hear() == ()  # it has another key
    revoke(folder.path, "south", LATER)
    keys.follow({})
    assert flower.asked[4:] == ["unregister 2"]
    assert Words(run).hear() == (Told("revoke", "south"),)
