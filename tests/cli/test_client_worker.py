"""``fedmce client worker``: in the foreground, for a supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client.worker.health import worker_health
from client.worker.stop import end_worker

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "fedmce", "client", "worker", "--socket"]


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fw") as folder:
        yield Path(folder) / "w.sock"
        end_worker(Path(folder) / "w.sock", patience_s=0.0)


def asked(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, str(path), *more], capture_output=True, text=True, timeout=120, check=False)


def serving(path: Path, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while worker_health(path).state != "serving":
        assert time.monotonic() < end, worker_health(path)
        time.sleep(0.1)


def test_a_worker_serves_says_how_it_is_and_ends_with_zero(path: Path) -> None:
    nobody = asked(path, "--status")
    assert nobody.returncode == 1
    assert json.loads(nobody.stdout)["state"] == "absent"
    with subprocess.Popen([*COMMAND, str(path)]) as worker:
        serving(path)
        told = json.loads(asked(path, "--status").stdout)
        assert (told["state"], told["pid"], told["messages"]) == ("serving", worker.pid, 0)
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        second = asked(path)
        assert second.returncode == 5
        assert f"another worker listens on {path} (pid {worker.pid})" in second.stderr
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert [file.name for file in path.parent.iterdir()] == ["w.sock.lock"]


def test_a_supervised_worker_takes_over_and_ends_with_its_supervisor(path: Path) -> None:
    program = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(3600)"
    with subprocess.Popen([*COMMAND, str(path)]) as first:
        serving(path)
        more = ["--with-parent", "--wait-s", "60"]
        with subprocess.Popen([sys.executable, "-c", program, *COMMAND, str(path), *more]) as supervisor:
            time.sleep(1.0)
            assert worker_health(path).pid == first.pid
            first.terminate()
            assert first.wait(30) == 0
            serving(path)
            front = psutil.Process(worker_health(path).pid)
            supervisor.kill()
            psutil.wait_procs([front], timeout=30)
            assert worker_health(path).state == "absent"


def test_a_folder_that_others_can_enter_is_refused(path: Path) -> None:
    os.chmod(path.parent, 0o755)
    done = asked(path)
    assert done.returncode == 5
    assert f"chmod 700 {path.parent}" in done.stderr


def test_a_path_that_is_too_long_for_a_socket_is_refused(path: Path) -> None:
    done = asked(path.parent / ("x" * 120))
    assert done.returncode == 5
    assert "needed at most 100" in done.stderr
