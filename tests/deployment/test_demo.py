"""A federation of real processes: SuperLink, executor, proxy, three SuperNodes with registered keys, site workers."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fedmce.audit import verify
from fedmce.record import read_record
from simulations.deployment.demo import TOLERANCE, Demo, Outcome, run_demo

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]


class Watch:
    """Command lines of every process that belongs to the demo, as anybody on the machine can read them."""

    def __init__(self, folder: Path) -> None:
        self._mark, self._over, self.lines = str(folder), threading.Event(), set[str]()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            for process in psutil.process_iter():
                try:
                    line = "\0".join(process.cmdline())
                except psutil.Error:
                    continue
                if self._mark in line or "flwr" in line or "flower" in line:
                    self.lines.add(line)

    def stop(self) -> set[str]:
        self._over.set()
        self._thread.join()
        return self.lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def played(folder: Path) -> Iterator[tuple[Outcome, set[str], list[str]]]:
    watch, said = Watch(folder), list[str]()
    try:
        outcome = run_demo(Demo(folder, rounds=2), said.append)
    finally:
        lines = watch.stop()
    return outcome, lines, said


def test_the_deployed_result_is_that_of_the_simulation(played: tuple[Outcome, set[str], list[str]]) -> None:
    outcome, _, _ = played
    assert outcome.largest_difference <= TOLERANCE
    one, other = (json.loads((run / "result.json").read_text()) for run in (outcome.deployed, outcome.simulated))
    assert one["metrics"]["per_subset"].keys() == other["metrics"]["per_subset"].keys()
    assert one["sites"] == other["sites"] == ["gb-m3", "scotland-m7", "us-f3"]
    assert one["fingerprint"] == other["fingerprint"]
    assert not one["refused"]


def test_the_run_folder_is_whole_and_its_audit_log_verifies(played: tuple[Outcome, set[str], list[str]]) -> None:
    outcome, _, _ = played
    rows = read_record(outcome.deployed)
    assert [row["event"] for row in rows].count("round") == 2
    assert rows[-1]["status"] == "finished"
    assert (outcome.deployed / "report.html").stat().st_size > 10_000
    assert (outcome.deployed / "model.safetensors").exists()
    verify(outcome.deployed / "state" / "log" / "audit.jsonl")


def test_T17_no_secret_stands_on_a_command_line(played: tuple[Outcome, set[str], list[str]], folder: Path) -> None:
    _, lines, said = played
    assert any("flower-supernode" in line for line in lines)
    secret = (folder / "project" / "superexec.secret").read_bytes()
    keys = [path.read_text().split("\n")[1] for path in folder.glob("project/kits/*/node.key")]
    assert len(keys) == 3
    texts = "\n".join(lines) + "\n".join(said)
    for hidden in (secret.hex(), *keys):
        assert hidden not in texts
    for log in folder.rglob("*.log"):
        content = log.read_bytes()
        assert secret not in content
        assert not any(key.encode() in content for key in keys)


def test_nothing_of_it_runs_any_more(played: tuple[Outcome, set[str], list[str]], folder: Path) -> None:
    mark = str(folder)
    left = [p.pid for p in psutil.process_iter() if mark in " ".join(_command(p))]
    assert left == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
