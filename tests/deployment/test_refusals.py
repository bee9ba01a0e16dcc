"""Who must not get in, tried on real processes behind the proxy of the recipe: SuperLink, executor, nginx, SuperNodes.

Every case is started at once against one federation that waits for its second site; each test reads what came of one.
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.cli.compose import load_config
from fedmce.cli.provision import deployed_plan, with_modalities
from fedmce.data import dataset_of
from fedmce.folders.exporting import export_sites
from fedmce.kits.address import Address, read_address
from fedmce.kits.keys import make_node_key
from fedmce.kits.manage import register
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder
from fedmce.site_errors import code_of_number
from simulations.deployment.reach import outside_problems
from simulations.deployment.stage import Stage
from simulations.flower_cli import CONNECTION, home_environment
from simulations.ports import free_ports
from simulations.processes import Supervised, program

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NODES = 6  # that are started on the scene
LIMIT_S = 240.0  # of every wait; on a quiet machine each takes seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]

HOSTILE_CLIENT = """
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()
Path({canary!r}).write_text("the server's code ran here")
@app.query("profile")
def profile(message, context):
    return Message(RecordDict(), reply_to=message)
"""
HOSTILE_SERVER = """
import json, time
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp
app = ServerApp()
@app.main()
def main(grid, context):
    there = list(grid.get_node_ids())
    ids = grid.push_messages([Message(RecordDict(), node, "query.profile", ttl=300.0) for node in there])
    replies, end = [], time.monotonic() + 200
    while len(replies) < len(there) and time.monotonic() < end:
        replies += [[m.error.code, m.error.reason] if m.has_error() else None for m in grid.pull_messages(ids)]
        time.sleep(0.5)
    done = Path({answer!r})
    done.with_suffix(".part").write_text(json.dumps([len(there), replies]))
    done.with_suffix(".part").rename(done)
"""
HOSTILE_PROJECT = """
[project]
name = "fedmce"
version = "0.1.0"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "fedmce"
[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "client.app:app"
"""


@dataclass
class Scene:
    """What stands, and what was tried on it."""

    stage: Stage
    project: ServerFolder
    port: int
    superlink: int
    pairs: Iterator[int]  # ports of nodes
    fingerprints: dict[str, str]
    tried: dict[str, Supervised]

    def said(self, name: str) -> str:
        return (self.stage.out / "log" / f"{name}.log").read_text()

    @property
    def superlink_log(self) -> str:
        return (self.project.path / "log" / "superlink.log").read_text()

    def ended(self, name: str) -> tuple[int | None, str]:
        """Exit code and words of a command that must end by itself."""
        one = self.tried[name]
        wait(lambda: not one.is_alive, f"{name} to end")
        return one.exit_code, " ".join(self.said(name).split())


def wait(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.2)


class Plain(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def plain_port() -> Iterator[int]:
    """A server without TLS where a site expects its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, plain_port: int) -> Iterator[Scene]:
    out = tmp_path_factory.mktemp("refusals")
    superlink = free_ports(4 + 2 * NODES)
    port, pairs = superlink + 3, iter(range(superlink + 4, superlink + 4 + 2 * NODES, 2))
    sites = {name: str(path) for name, path in export_sites(out / "sites", _av_digits(), ["us_f3", "gb_m3"]).items()}
    projects = {
        name: _project(out / name, out / "sites", server)
        for name, server in {"right": port, "stranger": port, "plain": plain_port}.items()
    }
    project = projects["right"]
    fingerprints = {site: make_node_key(project.kits / site).fingerprint for site in ("us-f3", "gb-m3")}
    for other in ("stranger", "plain"):
        make_node_key(projects[other].kits / "us-f3")
    public = out / "us-f3.pub"
    shutil.copy(project.kits / "us-f3" / "node.pub", public)
    register(project.path, public, datetime.now(UTC))
    stage = Stage(out, lambda line: None)
    found = Scene(stage, project, port, superlink, pairs, fingerprints, {})
    try:
        stage.proxy(project.path, port, superlink)
        stage.start("server", "server", "up", "--dir", str(project.path), "--port", str(superlink), "--quiet")
        _try(found, sites, projects)
        yield found
    finally:
        stage.stop()


def _av_digits():  # type: ignore[no-untyped-def]
    return dataset_of(load_config(["dataset=av_digits"]))


def _project(out: Path, sites: Path, port: int) -> ServerFolder:
    names = ("us-f3", "gb-m3")
    plan = with_modalities(deployed_plan(["dataset=folders", f"dataset.path={sites}", "rounds=1"]), names)
    server = read_address(f"localhost:{port}")
    return provision(out, plan, Request(names, server, (), 30, "site", False, {}), datetime.now(UTC))


def _try(scene: Scene, sites: dict[str, str], projects: dict[str, ServerFolder]) -> None:
    """Start all that is tried; only the copy of a node must wait until the node is there."""
    stage = scene.stage

    def join(name: str, kit: Path, data: str) -> Supervised:
        more = ["--home", str(stage.out / "homes" / name), "--port", str(next(scene.pairs)), "--patience", "1"]
        scene.tried[name] = stage.start(name, "client", "join", str(kit), "--data", data, *more)
        return scene.tried[name]

    join("wrong-ca", projects["stranger"].kits / "us-f3", sites["us_f3"])
    join("no-tls", projects["plain"].kits / "us-f3", sites["us_f3"])
    wait(lambda: (scene.project.path / "registered.json").exists(), "the server to register us-f3")
    join("site", scene.project.kits / "us-f3", sites["us_f3"])
    join("unregistered", scene.project.kits / "gb-m3", sites["gb_m3"])
    plain = [program("flower-supernode"), "--insecure", "--superlink", f"localhost:{scene.port}", "--max-retries", "1"]
    plain += ["--host", "127.0.0.1", "--port", str(next(scene.pairs)), "--isolation", "process"]
    scene.tried["insecure"] = stage.supervise(
        "insecure", plain, {"FLWR_HOME": str(stage.out / "homes" / "insecure"), "FLWR_TELEMETRY_ENABLED": "0"}
    )
    wait(lambda: "Activated node_id" in scene.superlink_log, "us-f3 to be let in")
    # A server that starts ends the runs that it finds there, this one too if it were there by then.
    wait(lambda: "/v1/control/list-runs" in scene.superlink_log, "the server to have looked for runs of before")
    _hand_out_other_code(scene)
    join("copy", scene.project.kits / "us-f3", sites["us_f3"])


def _hand_out_other_code(scene: Scene) -> None:
    """What a server could do that was taken over: run another app of the same name."""
    out = scene.stage.out
    for part, text in {
        "client/app.py": HOSTILE_CLIENT.format(canary=str(out / "canary")),
        "server/app.py": HOSTILE_SERVER.format(answer=str(out / "answer.json")),
        "client/__init__.py": "",
        "server/__init__.py": "",
        "pyproject.toml": HOSTILE_PROJECT,
    }.items():
        (out / "hostile-app" / part).parent.mkdir(parents=True, exist_ok=True)
        (out / "hostile-app" / part).write_text(text)
    operator = home_environment(out / "homes" / "operator", f"localhost:{scene.superlink}", scene.project.authority)
    scene.stage.supervise("hostile", [program("flwr"), "run", str(out / "hostile-app"), CONNECTION], operator)


def test_T06_an_unregistered_key_is_refused_and_its_fingerprint_told(scene: Scene) -> None:
    code, said = scene.ended("unregistered")
    assert code == 4, said
    assert f"site gb-m3: the server refuses the key {scene.fingerprints['gb-m3']}: it is not registered" in said
    assert "tell the operator this fingerprint (fedmce server register)" in said
    assert "Traceback" not in said


def test_C18_a_second_node_with_the_key_of_one_that_is_there_is_refused_and_the_first_stays(scene: Scene) -> None:
    code, said = scene.ended("copy")
    assert code == 4, said
    assert f"the server refuses the key {scene.fingerprints['us-f3']}" in said
    assert "another node uses it (a copy of this kit" in said
    assert "stop the other node" in said
    assert scene.tried["site"].is_alive
    assert "refuses" not in scene.said("site")
    assert scene.superlink_log.count("Activated node_id") == 1


def test_T03_a_server_of_another_authority_is_refused_by_the_site(scene: Scene) -> None:
    code, said = scene.ended("wrong-ca")
    assert code == 4, said
    assert "certificate verify failed" in said
    assert str(scene.stage.out / "stranger" / "kits" / "us-f3" / "ca.crt") in said
    asked = CliRunner().invoke(app, ["doctor", "--kit", str(scene.stage.out / "stranger" / "kits" / "us-f3"), "--json"])
    assert asked.exit_code == 4
    (fault,) = [row for row in json.loads(asked.stdout)["findings"] if row["result"] == "fault"]
    assert fault["detail"].startswith("T03")


def test_T02_a_server_without_tls_is_refused_by_the_site(scene: Scene) -> None:
    code, said = scene.ended("no-tls")
    assert code == 4, said
    assert "does not speak TLS" in said
    assert "Check the port" in said


def test_T01_a_node_without_tls_gets_nowhere_and_a_site_never_starts_one(scene: Scene) -> None:
    wait(lambda: b" 400 " in (scene.stage.out / "proxy" / "access.log").read_bytes(), "the proxy to refuse plain HTTP")
    assert "localhost" in scene.said("insecure")
    assert scene.superlink_log.count("Activated node_id") <= 1
    nodes = [
        line for line in _command_lines(scene.stage.mark) if "flower-supernode" in line and "--insecure" not in line
    ]
    assert nodes
    assert all("--root-certificates" in line for line in nodes)
    connection = http.client.HTTPConnection("localhost", scene.port, timeout=10)
    connection.request("POST", "/v1/fleet/pull-messages", b"")
    assert connection.getresponse().status == 400


def _command_lines(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if mark in line:
            found.append(line)
    return found


def test_N12_calls_of_operators_and_executors_are_not_there_for_a_site(scene: Scene) -> None:
    outside = f"localhost:{scene.port}"
    asked = CliRunner().invoke(app, ["doctor", "--outside", outside, "--kit", str(scene.project.kits / "us-f3")])
    assert "operator's and executor's calls are 404" in " ".join(asked.output.split()), asked.output
    context = ssl.create_default_context(cafile=str(scene.project.authority))
    for call in ("control/start-run", "control/stop-run", "control/register-node", "runtime/push-messages"):
        connection = http.client.HTTPSConnection("localhost", scene.port, timeout=20, context=context)
        connection.request("POST", f"/v1/{call}", b"")
        assert connection.getresponse().status == 404
    assert " 404 " in (scene.stage.out / "proxy" / "access.log").read_text()


def test_N12_a_server_that_stands_open_is_named(scene: Scene) -> None:
    """The check itself can fail: Flower's own port, on loopback, answers operators."""
    problems = outside_problems(Address("localhost", scene.superlink), scene.project.authority)
    assert {problem.where for problem in problems} >= {"POST /v1/control/list-runs", "GET /docs"}
    asked = CliRunner().invoke(
        app, ["doctor", "--outside", f"localhost:{scene.superlink}", "--ca", str(scene.project.authority), "--json"]
    )
    assert asked.exit_code == 4
    faults = [row for row in json.loads(asked.stdout)["findings"] if row["result"] == "fault"]
    assert faults
    assert all("Put the proxy recipe before the SuperLink" in row["fix"] for row in faults)


@pytest.mark.parametrize(("by", "status"), [("proxy", 404), ("loopback", 401)])
def test_T16_a_task_of_the_server_is_given_to_nobody_without_the_executor_s_secret(
    scene: Scene, by: str, status: int
) -> None:
    port = scene.port if by == "proxy" else scene.superlink
    context = ssl.create_default_context(cafile=str(scene.project.authority))
    connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
    connection.request("POST", "/v1/runtime/acquire-task", b"", {"content-type": "application/protobuf"})
    assert connection.getresponse().status == status


def test_T20_a_server_that_hands_out_other_code_is_refused_before_any_of_it_runs(scene: Scene) -> None:
    canary, answer = scene.stage.out / "canary", scene.stage.out / "answer.json"
    wait(answer.exists, "the hostile run to hear from the site")
    there, replies = json.loads(answer.read_text())
    assert there == len(replies) == 1
    assert code_of_number(replies[0][0]) == replies[0][1] == "plan_refused"
    assert not canary.exists()
    wait(lambda: "plan_refused" in scene.said("site"), "the person at the site to be told")
    assert "app bundle: " in scene.said("site")


def test_nothing_of_it_runs_any_more(scene: Scene) -> None:
    scene.stage.stop()
    assert _command_lines(scene.stage.mark) == []
