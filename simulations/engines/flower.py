"""Flower's own simulation engine: a private SuperLink, `flwr run`, and a check of how the run really ended.

`flwr run` exits 0 whatever becomes of the run, so three things must agree before a run counts as done:
Flower lists it as completed, our record ends with ``finished``, and ``result.json`` is there. Every process
that was started, Ray's included, is gone when :func:`run` returns, however it returns.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedmce._paths import app_root
from fedmce.config.schema import RunConfig
from fedmce.errors import RunError
from fedmce.record import RecordFollower, RecordWriter, read_record
from simulations.flower_cli import CONNECTION, flwr, home_environment, run_state
from simulations.ports import free_ports
from simulations.processes import program, stop_all

START_S, POLL_S, STATUS_EVERY_S = 60.0, 0.5, 20.0


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
        self._record, self._observer = RecordFollower(folder), observer
        self.ended = False

    def drain(self) -> None:
        """Read what has been written since the last call."""
        for row in self._record.new():
            self._observer(row)
            self.ended = self.ended or row["event"] == "end"


@contextmanager
def _superlink(home: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A SuperLink of our own on a free port; all of its descendants are ended on the way out."""
    port = free_ports()
    address = f"127.0.0.1:{port}"
    environment = home_environment(home, address)
    command = [program("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess"]
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


def _submit(config: RunConfig, folder: Path, environment: dict[str, str], sites: int) -> str:
    path = (folder / "config.yaml").resolve()
    settings = f"config-path={json.dumps(str(path))} out={json.dumps(str(folder.resolve()))}"
    resources = f"num-supernodes={sites} client-resources-num-cpus={config.engine.cpus_per_site}"
    if config.engine.gpus_per_site > 0:
        resources += f" client-resources-num-gpus={config.engine.gpus_per_site}"
    arguments = ["run", str(app_root()), CONNECTION, "--run-config", settings, "--federation-config", resources]
    return str(flwr(arguments, environment)["run-id"])


def _wait(run_id: str, timeout_s: float, environment: dict[str, str], rows: _Rows) -> None:
    """Until Flower lists the run as finished; the record tells when it is worth asking."""
    end, next_look = time.monotonic() + timeout_s, time.monotonic() + STATUS_EVERY_S
    while time.monotonic() < end:
        rows.drain()
        if rows.ended or time.monotonic() >= next_look:
            state = run_state(run_id, environment)
            if state.is_over:
                if not state.is_completed:
                    raise RunError(f"Flower lists the run as {state.status}: {state.details or 'no details'}")
                return
            next_look = time.monotonic() + STATUS_EVERY_S
        time.sleep(POLL_S)
    raise RunError(f"the run did not end within engine.timeout_s={timeout_s:g} s")


def _close_record(folder: Path, error: BaseException, observer: Callable[[dict[str, Any]], None]) -> None:
    """The ServerApp was ended from outside or never began: say so in the record."""
    rows = read_record(folder) if (folder / "record.jsonl").exists() else []
    if any(row["event"] == "end" for row in rows):
        return
    status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    reason = "" if status == "interrupted" else str(error)
    done = sum(row["event"] == "round" for row in rows)
    RecordWriter(folder, observer).write("end", status=status, reason=reason, rounds_done=done, total_s=None)
