"""The proxy recipe as a process: twelve calls pass, everything else is refused before anybody behind it hears of it."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedmce.cli.compose import load_config
from fedmce.kits.address import Address, read_address
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder
from simulations.deployment.reach import outside_problems, reach_problems
from simulations.deployment.recipes import FLEET_CALLS, Proxy, proxy_configuration, write_server_recipes
from simulations.ports import free_ports
from simulations.processes import Supervised

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    """What `fedmce provision` makes."""
    plan = load_config(["exchange=deployed", "privacy=floors"])
    request = Request(("north", "south"), read_address("localhost:9443"), (), 30, "here", False, {})
    return provision(tmp_path_factory.mktemp("federation") / "server", plan, request, datetime.now(UTC))


@dataclass
class Upstream:
    """Stands for the SuperLink and writes down what reaches it."""

    port: int
    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def upstream(folder: ServerFolder) -> Iterator[Upstream]:
    found = Upstream(free_ports())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.seen.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_PUT = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", found.port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate, folder.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()


@dataclass
class Door:
    """The running proxy."""

    port: int
    authority: Path
    upstream: Upstream

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def ask(self, method: str, path: str, body: bytes = b"") -> int:
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=self.context())
        try:
            connection.request(method, path, body=body)
            return connection.getresponse().status
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """The first line of the answer to these very bytes."""
        with (
            socket.create_connection(("localhost", self.port), timeout=10) as plain,
            self.context().wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(request)
            tls.settimeout(10)
            try:
                return tls.recv(4096).split(b"\r\n")[0]
            except (TimeoutError, ConnectionError, ssl.SSLError):
                return b""


@pytest.fixture(scope="module")
def door(folder: ServerFolder, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    work, port = tmp_path_factory.mktemp("proxy"), free_ports()
    text = proxy_configuration(folder, ("localhost",), Proxy(f"127.0.0.1:{port}", upstream.port, work, connections=64))
    (work / "nginx.conf").write_text(text)
    command = [NGINX, "-c", str(work / "nginx.conf"), "-p", str(work), "-g", "daemon off; master_process off;"]
    nginx = Supervised("nginx", command, {}, work / "nginx.log")
    nginx.start()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert nginx.is_alive, nginx.last_words()
        time.sleep(0.1)
    yield Door(port, folder.authority, upstream)
    nginx.stop()


def test_N13b_the_calls_of_the_recipe_are_those_of_the_installed_flower() -> None:
    from flwr.superlink.routers.fleet import router as fleet

    module = Path(fleet.__file__ if hasattr(fleet, "__file__") else __import__(fleet.__module__).__file__)
    text = "\n".join(path.read_text() for path in module.parent.rglob("*.py"))
    routes = set(re.findall(r'post\(\s*"/([a-z-]+)"', text))
    assert routes == set(FLEET_CALLS)


@needs_nginx
@pytest.mark.parametrize("call", FLEET_CALLS)
def test_the_calls_of_sites_pass(door: Door, call: str) -> None:
    assert door.ask("POST", f"/v1/fleet/{call}", b"x") == 200
    assert door.upstream.seen.pop() == f"POST /v1/fleet/{call}"


@needs_nginx
def test_N12_calls_of_operators_and_executors_are_not_there(door: Door) -> None:
    before = list(door.upstream.seen)
    assert outside_problems(Address("localhost", door.port), door.authority) == []
    for path in ("/v1/control/start-run", "/v1/runtime/pull-messages", "/v1/fleet/", "/v1/fleet/list-runs", "/"):
        assert door.ask("POST", path, b"x") == 404
    assert door.ask("GET", "/v1/fleet/pull-messages") == 403
    assert door.upstream.seen == before


HOSTILE = [
    b"/v1/fleet/../control/list-runs",
    b"/v1/fleet/%2e%2e/control/list-runs",
    b"/v1/fleet/..%2fcontrol/list-runs",
    b"/v1/fleet/%2e%2e%2fcontrol%2flist-runs",
    b"/v1/fleet//pull-messages",
    b"//v1/fleet/pull-messages",
    b"/v1//fleet/pull-messages",
    b"/v1/fleet/pull-messages/",
    b"/v1/fleet/pull-messages%0a",
    b"/v1/fleet/pull-messages%0d%0a",
    b"/v1/fleet/pull-messages%00",
    b"/v1/fleet/pull-messages%20",
    b"/v1/fleet/pull-messages;x",
    b"/v1/fleet/Pull-Messages",
    b"/V1/FLEET/pull-messages",
    b"/v1/fleet/pull-messages\\..\\control",
    b"/v1\\fleet\\pull-messages",
    b"/v1/fleet/pull-messages/../../control/list-runs",
    b"/v1/fleet/pull-messages/..;/control/list-runs",
    b"/v1/fleet/pull-messages/%2e%2e/%2e%2e/runtime/acquire-task",
    b"/v1/control/list-runs?x=/v1/fleet/pull-messages",
    b"/v1/control/list-runs#/v1/fleet/pull-messages",
    b"http://localhost/v1/control/list-runs",
    b"https://localhost/v1/runtime/acquire-task",
    b"http://other/v1/fleet/../runtime/acquire-task",
    b"/docs",
    b"/openapi.json",
    b"/health",
    b"*",
    b"/v1/fleet/get-run%2f..%2f..%2fcontrol",
]


@needs_nginx
@pytest.mark.parametrize("target", HOSTILE, ids=lambda t: t.decode("latin-1"))
def test_N13_no_trick_with_a_path_gets_through(door: Door, target: bytes) -> None:
    before = list(door.upstream.seen)
    request = b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    answer = door.raw(request)
    assert re.match(rb"HTTP/1\.1 (400|403|404|405) ", answer), answer
    assert door.upstream.seen == before


@needs_nginx
def test_N13_a_smuggled_second_request_does_not_arrive(door: Door) -> None:
    before = list(door.upstream.seen)
    inner = b"POST /v1/control/list-runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    for headers in (
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
        b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n" + inner,
    ):
        door.raw(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: localhost\r\n" + headers)
    time.sleep(0.3)
    assert not [path for path in door.upstream.seen[len(before) :] if "control" in path]


@needs_nginx
def test_L11_a_body_of_nine_megabytes_is_refused(door: Door) -> None:
    before = list(door.upstream.seen)
    request = b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9437184\r\n\r\n"
    assert b" 413 " in door.raw(request)
    assert door.upstream.seen == before


@needs_nginx
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_T19_old_tls_is_refused(door: Door, version: ssl.TLSVersion) -> None:
    context = door.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("localhost", door.port), timeout=10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


@needs_nginx
def test_a_site_reaches_the_right_server_and_is_told_by_cause_what_keeps_it_from_another(
    door: Door, folder: ServerFolder, tmp_path: Path
) -> None:
    assert reach_problems(Address("localhost", door.port), folder.authority) == []
    plan = load_config(["exchange=deployed", "privacy=floors"])
    request = Request(("north",), read_address("localhost:9443"), (), 30, "here", False, {})
    stranger = provision(tmp_path / "other", plan, request, datetime.now(UTC))
    (wrong,) = reach_problems(Address("localhost", door.port), stranger.authority)
    assert wrong.case == "T03"
    assert "certificate verify failed" in wrong.what
    (closed,) = reach_problems(Address("localhost", free_ports()), folder.authority)
    assert closed.case == "N01"
    (unknown,) = reach_problems(Address("no-such-host.invalid", 9443), folder.authority)
    assert unknown.case == "N09"


def test_T02_a_server_without_tls_is_named(folder: ServerFolder) -> None:
    class Plain(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_ports()), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (problem,) = reach_problems(Address("localhost", server.server_address[1]), folder.authority)
        assert problem.case == "T02"
        assert "does not speak TLS" in problem.what
    finally:
        server.shutdown()


@needs_nginx
def test_the_recipes_are_valid(folder: ServerFolder, tmp_path: Path) -> None:
    written = {path.name: path for path in write_server_recipes(folder.path, tmp_path / "out", free_ports(3))}
    assert set(written) == {
        "Dockerfile",
        "compose.server.yaml",
        "fedmce-server.service",
        "nginx.compose.conf",
        "nginx.conf",
    }
    text = written["nginx.conf"].read_text().replace("/var/lib/fedmce-proxy", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(text)
    assert NGINX is not None
    done = subprocess.run(
        [NGINX, "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"@[A-Z]+@", "".join(path.read_text() for path in written.values()))
