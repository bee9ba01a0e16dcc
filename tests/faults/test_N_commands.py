"""What the commands say at once of a network that cannot work: no TLS, taken ports, unknown names."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from simulations.ports import free_ports
from tests.faults.federation import NAME, PATIENCE, ROUND_S, Federation
from tests.faults.programs import Program

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300 * PATIENCE)]
FEDMCE = (sys.executable, "-m", "fedmce")


@pytest.fixture(scope="module")
def f(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """Provisioned, and never started."""
    return Federation(tmp_path_factory.mktemp("n") / "f", sites=1)


def answer_of(program: Program, more: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and words of a command that ends by itself."""
    done = subprocess.run(
        [*FEDMCE, *program.command, *more],
        env=program.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=ROUND_S,
    )
    return done.returncode, done.stdout + done.stderr


class Plain(http.server.BaseHTTPRequestHandler):
    """Speaks HTTP without TLS."""

    def log_message(self, *_: object) -> None:
        pass


def test_T01_a_site_refuses_a_server_without_tls_and_says_so(f: Federation) -> None:
    site = f.site("ash")
    server = http.server.ThreadingHTTPServer(("127.0.1.15", site.proxy.address[1]), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        site.resolve("127.0.1.15")
        code, said = answer_of(site)
    finally:
        server.shutdown()
        server.server_close()
        site.resolve(site.proxy.address[0])
    assert code == 4
    assert f"server {NAME}" in said
    assert "does not speak TLS" in said


def test_T01_a_site_cannot_be_told_to_go_without_tls(f: Federation) -> None:
    code, said = answer_of(f.site("ash"), ["--insecure"])
    assert code == 2
    assert "--insecure" in said
    assert not (f.site("ash").home / "log" / "supernode.log").exists()


@pytest.mark.parametrize("which", ["server", "site"])
def test_N18_a_port_that_is_taken_is_said_with_who_has_it_and_what_to_change(f: Federation, which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports()))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = answer_of(f.server if which == "server" else f.site("ash"), ["--port", port])
    assert code == 4, said
    for word in (f"port {port}", f"pid {os.getpid()}", "--port"):
        assert word in said
