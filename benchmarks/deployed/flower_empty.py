"""Flower's own round with nothing in it: two lines of app, as many nodes, plain SuperLink and SuperNodes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from fedmce.errors import RunError
from simulations.deployment.stage import Stage
from simulations.flower_cli import CONNECTION, POLL, flwr, home_environment
from simulations.ports import free_ports
from simulations.processes import program

LIMIT_S, LOOK_S = 3600.0, 1.0
CLIENT = """
from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()
@app.train()
def train(message, context):
    return Message(RecordDict(), reply_to=message)
"""
SERVER = """
import json, time
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp
app = ServerApp()
@app.main()
def main(grid, context):
    while len(list(grid.get_node_ids())) < {sites}:
        time.sleep(1)
    seconds, answered = [], []
    for number in range({rounds}):
        began = time.perf_counter()
        messages = [Message(RecordDict(), node, "train", ttl=600.0) for node in grid.get_node_ids()]
        replies = list(grid.send_and_receive(messages, timeout=600))
        seconds.append(time.perf_counter() - began)
        answered.append(sum(not reply.has_error() for reply in replies))
    done = Path({answer!r})
    done.with_suffix(".part").write_text(json.dumps({{"seconds": seconds, "answered": answered}}))
    done.with_suffix(".part").rename(done)
"""
PROJECT = """
[project]
name = "empty-round"
version = "0.1.0"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "benchmark"
[tool.flwr.app.components]
serverapp = "app.server:app"
clientapp = "app.client:app"
"""


def flower_rounds(out: Path, sites: int, rounds: int) -> list[float]:
    """Seconds of each empty round.

    Raises:
        RunError: nodes did not answer, or the run took too long.
    """
    app, answer, port = out / "empty-round", out / "answer.json", free_ports(1 + 2 * sites)
    (app / "app").mkdir(parents=True)
    (app / "app" / "__init__.py").write_text("")
    (app / "app" / "client.py").write_text(CLIENT)
    (app / "app" / "server.py").write_text(SERVER.format(sites=sites, rounds=rounds, answer=str(answer.resolve())))
    (app / "pyproject.toml").write_text(PROJECT)
    stage = Stage(out, lambda line: None)
    environment = _as_flower_comes(out / "flower", port)
    try:
        link = [program("flower-superlink"), "--insecure", "--host", "127.0.0.1", "--port", str(port)]
        stage.supervise("superlink", link, environment)
        for number in range(sites):
            node = [program("flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
            node += ["--host", "127.0.0.1", "--port", str(port + 1 + 2 * number)]
            stage.supervise(f"node-{number}", node, _as_flower_comes(out / f"home-{number}", port))
        _submit(app, environment)
        found = _wait(answer)
    finally:
        stage.stop()
    if set(found["answered"]) != {sites}:
        raise RunError(f"empty rounds: {found['answered']} nodes answered; needed {sites} each. see {out / 'log'}")
    return [float(seconds) for seconds in found["seconds"]]


def _as_flower_comes(home: Path, port: int) -> dict[str, str]:
    """Environment of its programs, with the poll that they have by themselves."""
    return {key: value for key, value in home_environment(home, f"127.0.0.1:{port}").items() if key != POLL}


def _submit(app: Path, environment: dict[str, str]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            flwr(["run", str(app), CONNECTION], environment)
            return
        except RunError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_S)


def _wait(answer: Path) -> dict[str, Any]:
    end = time.monotonic() + LIMIT_S
    while not answer.exists():
        if time.monotonic() > end:
            raise RunError(f"empty rounds: no result within {LIMIT_S:.0f} s")
        time.sleep(LOOK_S)
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found
