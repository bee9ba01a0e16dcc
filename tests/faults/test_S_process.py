"""A server whose processes are killed, stopped, doubled and left without a log, on one state folder from first to last.

Every test leaves the federation as it found it, some rounds further; the last one compares its end with a run that
nothing ever happened to.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from fedmce.audit import verify
from server.committed.kill import VARIABLE
from simulations.ports import free_ports
from simulations.processes import Supervised, runs
from tests.faults.federation import Federation

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1800)]

Note = Callable[[str, object], None]

ROUNDS = 20  # some more than the tests take: commands that they wait for last longer than rounds on a busy machine
LONG_S = 600.0  # on a machine that does much else
FULL = 64 * 2**20  # bytes that any file may have on the disk that is full


@dataclass
class Chain:
    """One federation through all of it.

    Attributes:
        f: the federation.
        first_exit: of the server that was killed again and again without a round between.
        said: what it left in its log.
    """

    f: Federation
    first_exit: int
    said: str

    def up(self, **environment: str) -> None:
        """Let the server run, if it does not."""
        if not self.f.server.is_alive:
            self.f.server.start(**environment)

    def collecting(self) -> int:
        """Wait until a round has just been sent; its number."""
        self.up()
        before = len(self.f.audit("ask"))
        self.f.await_that(lambda: len(self.f.audit("ask")) > before, LONG_S, "the next question")
        return int(self.f.audit("ask")[-1]["round"])

    @property
    def committed(self) -> int:
        return max((int(line["round"]) for line in self.f.audit("commit")), default=0)

    @property
    def app(self) -> int:
        """Process of the ServerApp."""
        return int(json.loads((self.f.run / "heartbeat.json").read_text())["pid"])

    def superlink(self) -> psutil.Process:
        (found,) = self.f.server.processes("flower-superlink")
        return found

    def killed(self, kill: Callable[[], None]) -> float:
        """Kill something while replies are collected; seconds until the round was sent again."""
        self.collecting()
        asked = len(self.f.audit("ask"))
        kill()
        at = time.time()
        self.f.await_that(lambda: len(self.f.audit("ask")) > asked, LONG_S, "the question after the kill")
        line = self.f.audit("ask")[asked]
        before = self.f.audit()
        # As the log had it then: the round may be over by now.
        before = before[: before.index(line)]
        assert line["round"] == 1 + max((int(row["round"]) for row in before if row["kind"] == "commit"), default=0)
        self.f.await_round(int(line["round"]), LONG_S)
        return float(line["t_wall"]) - at

    def is_whole(self) -> None:
        """No process is left, the log is sound, and no round was taken twice."""
        assert self.f.server.processes() == []
        verify(self.f.run / "state" / "log" / "audit.jsonl")
        rounds = [line["round"] for line in self.f.audit("commit")]
        assert rounds == list(range(1, len(rounds) + 1))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("s") / "f"
    plan = ["exchange.wait_sites_s=600", "exchange.deadline_s=600"]
    with Federation(folder, sites=2, rounds=ROUNDS, overrides=plan, proxied=False, kill_at="K0@2") as f:
        code = f.await_end(2 * LONG_S)
        yield Chain(f, code, f.server.log)


def test_S04_five_kills_without_a_round_between_stop_the_supervisor_and_the_state_is_whole(
    chain: Chain, record_property: Note
) -> None:
    assert chain.first_exit == 6, chain.said
    assert "5 restarts without a further round" in chain.said
    before = [line for line in chain.f.audit("ask") if line["round"] == 2][:6]
    assert len(before) == 6
    gaps = [float(b["t_wall"]) - float(a["t_wall"]) for a, b in pairwise(before)]
    record_property("G10", max(gaps))  # each from its kill, which comes at once, to the next question
    if not chain.f.server.is_alive:
        chain.is_whole()
    chain.up()
    chain.f.await_round(2, LONG_S)


def test_S01_a_server_process_that_is_killed_is_replaced_and_asks_the_same_round(
    chain: Chain, record_property: Note
) -> None:
    seconds = chain.killed(lambda: os.kill(chain.app, signal.SIGKILL))
    record_property("G10", seconds)
    assert seconds < LONG_S
    assert chain.f.server.is_alive


def test_S02_a_superlink_that_is_killed_is_started_again_and_sites_come_back(
    chain: Chain, record_property: Note
) -> None:
    nodes = {name: [p.pid for p in chain.f.site(name).processes("flower-supernode")] for name in chain.f.sites}
    seconds = chain.killed(lambda: chain.superlink().kill())
    record_property("G10", seconds)
    last = chain.f.round(chain.committed)
    assert {site: told["verdict"] for site, told in last["sites"].items()} == {"ash": "accepted", "birch": "accepted"}
    assert nodes == {name: [p.pid for p in chain.f.site(name).processes("flower-supernode")] for name in nodes}


def test_S03_both_killed_at_once_are_replaced(chain: Chain, record_property: Note) -> None:
    def both() -> None:
        app = chain.app
        chain.superlink().kill()
        os.kill(app, signal.SIGKILL)

    record_property("G10", chain.killed(both))


def test_S03_when_all_of_the_server_is_killed_the_same_command_goes_on(chain: Chain) -> None:
    """The supervisor too, as when the machine's plug is pulled."""
    number = chain.collecting()
    chain.f.server.kill()
    assert chain.f.server.processes() == []
    assert chain.committed == number - 1
    asked = len(chain.f.audit("ask"))
    chain.up()
    chain.f.await_that(lambda: len(chain.f.audit("ask")) > asked, LONG_S, "the question after the kill")
    assert chain.f.audit("ask")[asked]["round"] == number
    chain.f.await_round(number, LONG_S)


def test_S16_sigterm_while_replies_are_collected_leaves_the_round_and_exits_with_0(chain: Chain) -> None:
    chain.collecting()
    assert chain.f.server.stop() == 0, chain.f.server.log
    chain.is_whole()
    done = chain.committed
    chain.up()
    chain.f.await_round(done + 1, LONG_S)
    assert "the same command goes on after the last committed round" in chain.f.server.log


def test_S16_sigterm_in_a_commit_finishes_it_and_exits_with_0(chain: Chain, tmp_path: Path) -> None:
    if chain.f.server.is_alive:
        chain.f.server.stop()
    number, hold = chain.committed + 1, tmp_path / "in-commit"
    chain.f.server.start(**{VARIABLE: f"K4@{number}", "FEDMCE_TEST_HOLD": str(hold)})
    chain.f.await_that(hold.exists, LONG_S, "the commit")
    assert chain.committed == number - 1
    assert chain.f.server.stop() == 0, chain.f.server.log
    assert chain.committed == number
    chain.is_whole()


def test_S18_a_second_sigint_ends_at_once_what_the_first_would_end_in_order(chain: Chain) -> None:
    chain.collecting()
    os.kill(chain.app, signal.SIGSTOP)  # it cannot leave in order
    (command,) = [p for p in chain.f.server.processes() if p.pid == chain.f.server.processes()[0].pid]
    command.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert runs(command.pid)
    command.send_signal(signal.SIGINT)
    assert chain.f.await_end(60.0) == 130
    gone_by = time.monotonic() + LONG_S
    while chain.f.server.processes() and time.monotonic() < gone_by:
        time.sleep(0.1)
    chain.is_whole()
    done = chain.committed
    chain.up()
    chain.f.await_round(done + 1, LONG_S)


def test_S19_S20_a_run_goes_on_when_nobody_reads_its_output_and_the_disk_of_its_logs_is_full(chain: Chain) -> None:
    if chain.f.server.is_alive:
        chain.f.server.stop()
    logs = [chain.f.project / "log" / f"{name}.log" for name in ("superlink", "executor")]
    before = [log.stat().st_size for log in logs]
    for log in logs:
        os.truncate(log, FULL)
    reads, writes = os.pipe()
    os.close(reads)
    server = Supervised("server", [], {}, chain.f.server.log_file)
    server.process = subprocess.Popen(
        [sys.executable, "-m", "fedmce", *chain.f.server.command],
        env=chain.f.server.environment,
        stdin=subprocess.DEVNULL,
        stdout=writes,
        stderr=writes,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL)),
    )
    os.close(writes)
    chain.f.server._one = server
    done = chain.committed
    chain.f.await_round(min(done + 1, ROUNDS), LONG_S)
    assert [log.stat().st_size for log in logs] == [FULL, FULL]
    if chain.f.server.is_alive:
        assert chain.f.server.stop() == 0
    for log, size in zip(logs, before, strict=True):
        os.truncate(log, size)
    chain.is_whole()


def test_S17_a_second_server_on_the_folder_or_the_state_is_told_who_has_it(chain: Chain) -> None:
    chain.collecting()
    app, superlink = chain.app, chain.superlink().pid
    up = [*chain.f.server.command, "--port", str(free_ports(3))]
    for command in (up, ["run", f"resume={chain.f.run}"]):
        done = fedmce(chain.f, *command)
        assert done.returncode == 5, done.stderr
        assert socket.gethostname() in done.stderr
    holder = chain.f.server.processes()[0].pid
    assert f"process {holder} on" in fedmce(chain.f, *up).stderr
    assert (chain.app, chain.superlink().pid) == (app, superlink)


def test_T15_nothing_of_the_server_is_to_be_reached_from_elsewhere_and_nodes_must_show_a_key(chain: Chain) -> None:
    chain.up()
    chain.f.await_that(lambda: chain.f.server.processes("flower-superlink"), LONG_S, "the SuperLink")
    listening = set()
    for process in chain.f.server.processes():
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                listening.add(connection.laddr.ip.removeprefix("::ffff:"))
    assert listening == {"127.0.0.1"}
    assert "--enable-supernode-auth" in chain.superlink().cmdline()
    assert fedmce(chain.f, *chain.f.server.command, "--host", "0.0.0.0").returncode == 2
    chain.f.await_that(lambda: answers(chain.f, "/health") == 200, LONG_S, "the SuperLink's health")
    for call in ("register-node", "activate-node", "pull-messages", "push-messages"):
        assert answers(chain.f, f"/v1/fleet/{call}", b"") == 401


def test_S01_S02_S03_S04_after_all_of_it_the_run_ends_in_the_bytes_of_one_that_nothing_happened_to(
    chain: Chain, tmp_path: Path
) -> None:
    chain.up()
    assert chain.f.await_end(2 * LONG_S) == 0, chain.f.server.log
    chain.is_whole()
    simulated = chain.f.simulated(tmp_path / "simulated")
    one, other = (run / "model.safetensors" for run in (chain.f.run, simulated))
    assert one.read_bytes() == other.read_bytes()


def fedmce(f: Federation, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedmce", *command],
        env=f.server.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LONG_S,
    )


def answers(f: Federation, path: str, body: bytes | None = None) -> int:
    """Status of a call at the SuperLink itself, without a key, a token or a secret; 0 if it does not answer."""
    context = ssl.create_default_context(cafile=str(f.project / "ca.crt"))
    request = urllib.request.Request(f"https://localhost:{f.superlink}{path}", body)
    if body is not None:
        request.add_header("content-type", "application/protobuf")
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
