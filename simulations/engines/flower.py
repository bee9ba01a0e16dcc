"""Flower's own simulation engine: a private SuperLink, `flwr run`, and a check of how the run really ended.

`flwr run` exits 0 whatever becomes of the run, so three things must agree before a run counts as done:
Flower lists it as completed, our record ends with ``finished``, and ``result.json`` is there. Every process
that was started, Ray's included, is gone when :func:`run` returns, however it returns.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from fedmce._paths import app_root
from fedmce.config.schema import RunConfig
from fedmce.errors import RunError
from fedmce.flower_compat import SWITCHES
from fedmce.record import RecordWriter, read_record

CONNECTION = "fedmce"
START_S, POLL_S, STATUS_EVERY_S, STOP_S = 60.0, 0.5, 20.0, 10.0
MARK = "FEDMCE_ENGINE_HOME"


def run(config: RunConfig, folder: Path, observer: Callable[[dict[str, Any]], None], sites: Sequence[str]) -> None:
    """Run the federation under Flower's simulation; see :func:`simulations.engines.run`.

    Raises:
        RunError: Flower is not installed with its simulation part, does not start, or the run did not
            complete; the message says what Flower said and where its log lies.
    """
    home = Path(tempfile.mkdtemp(prefix="fedmce-flwr-"))
    rows = _Rows(folder, observer)
    try:
        with _superlink(home, folder) as environment:
            run_id = _submit(config, folder, environment, len(sites))
            _wait(run_id, config.engine.timeout_s, environment, rows)
    except BaseException as error:
        rows.drain()
        _close_record(folder, error, observer)
        raise
    finally:
        shutil.rmtree(home, ignore_errors=True)
    rows.drain()
    if not (folder / "result.json").is_file():
        raise RunError(f"{folder}: Flower calls the run complete, but it left no result.json; see flower.log there")


class _Rows:
    """Hands new rows of the record to the observer."""

    def __init__(self, folder: Path, observer: Callable[[dict[str, Any]], None]) -> None:
        self._folder, self._observer, self._seen = folder, observer, 0
        self.ended = False

    def drain(self) -> None:
        """Read what has been written since the last call."""
        if not (self._folder / "record.jsonl").exists():
            return
        rows = read_record(self._folder)
        for row in rows[self._seen :]:
            self._observer(row)
            self.ended = self.ended or row["event"] == "end"
        self._seen = len(rows)


@contextmanager
def _superlink(home: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A SuperLink of our own on a free port; all of its descendants are ended on the way out."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    text = (
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\naddress = "{address}"\ninsecure = true\n'
    )
    (home / "config.toml").write_text(text, encoding="utf-8")
    scripts = str(Path(sys.executable).parent)  # Flower finds its own programs through PATH
    environment = (
        os.environ
        | SWITCHES
        | {
            "FLWR_HOME": str(home),
            MARK: str(home),
            "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            # Flower's simulation would join any Ray cluster that it finds on this machine, dead ones too, and wait.
            "RAY_ADDRESS": "local",
        }
    )
    command = [_program("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-runtime-dependency-installation"]
    with (folder / "flower.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _await_port(port, process, folder)
            yield environment
        finally:
            stop_all(process.pid, str(home))


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise RunError(f"engine=flower: {name} is not installed beside {sys.executable}; install flwr[simulation]")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RunError(
                f"Flower's SuperLink ended with {process.returncode} while starting; see {folder / 'flower.log'}"
            )
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RunError(f"Flower's SuperLink did not open its port within {START_S:.0f} s; see {folder / 'flower.log'}")


def _flwr(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a `flwr` command and parse its JSON; an error inside is an error although it exits 0."""
    command = [_program("flwr"), *arguments, "--format", "json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RunError(
            f"flwr {arguments[0]}: exit {done.returncode}, no JSON; {(done.stderr or done.stdout)[-400:]}"
        ) from error
    if not isinstance(answer, dict) or not answer.get("success"):
        raise RunError(
            f"flwr {arguments[0]}: {answer.get('error-message', answer) if isinstance(answer, dict) else answer}"
        )
    return answer


def _submit(config: RunConfig, folder: Path, environment: dict[str, str], sites: int) -> str:
    path = (folder / "config.yaml").resolve()
    settings = f"config-path={json.dumps(str(path))} out={json.dumps(str(folder.resolve()))}"
    resources = f"num-supernodes={sites} client-resources-num-cpus={config.engine.cpus_per_site}"
    if config.engine.gpus_per_site > 0:
        resources += f" client-resources-num-gpus={config.engine.gpus_per_site}"
    arguments = ["run", str(app_root()), CONNECTION, "--run-config", settings, "--federation-config", resources]
    return str(_flwr(arguments, environment)["run-id"])


def _wait(run_id: str, timeout_s: float, environment: dict[str, str], rows: _Rows) -> None:
    """Until Flower lists the run as finished; the record tells when it is worth asking."""
    end, next_look = time.monotonic() + timeout_s, time.monotonic() + STATUS_EVERY_S
    while time.monotonic() < end:
        rows.drain()
        if rows.ended or time.monotonic() >= next_look:
            listed = _flwr(["list", CONNECTION, "--run-id", run_id], environment)["runs"][0]
            if str(listed["status"]).startswith("finished"):
                if listed["status"] != "finished:completed":
                    raise RunError(
                        f"Flower lists the run as {listed['status']}: {listed.get('status-details') or 'no details'}"
                    )
                return
            next_look = time.monotonic() + STATUS_EVERY_S
        time.sleep(POLL_S)
    raise RunError(f"the run did not end within engine.timeout_s={timeout_s:g} s")


def stop_all(root: int, home: str) -> None:
    """End a process, its descendants and every process that carries our mark (Ray detaches some)."""
    found = {p.pid: p for p in _family(root)} | {p.pid: p for p in _marked(home)}
    for process in found.values():
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(list(found.values()), timeout=STOP_S)
    for process in {p.pid: p for p in (*alive, *_marked(home))}.values():
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=STOP_S)


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return


def _family(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _marked(home: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == home:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
            continue
    return found


def _close_record(folder: Path, error: BaseException, observer: Callable[[dict[str, Any]], None]) -> None:
    """The ServerApp was ended from outside or never began: say so in the record."""
    rows = read_record(folder) if (folder / "record.jsonl").exists() else []
    if any(row["event"] == "end" for row in rows):
        return
    status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    reason = "" if status == "interrupted" else str(error)
    done = sum(row["event"] == "round" for row in rows)
    RecordWriter(folder, observer).write("end", status=status, reason=reason, rounds_done=done, total_s=None)
