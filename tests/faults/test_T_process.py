"""A site whose clock is wrong, and a server whose certificate is not of its day: real commands under libfaketime."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedmce.folders.exporting import export_sites
from simulations.ports import free_ports
from tests.faults.federation import PLAN, type_in
from tests.server.made import made_dataset, made_site

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
LIMIT_S = 240.0  # on a machine that does much else

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(900),
    pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: libfaketime)"),
]


class Quiet(BaseHTTPRequestHandler):
    """Answers nothing but its time."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Says nothing of sites that turn away."""

    def handle_error(self, *_: object) -> None:
        pass


@dataclass
class Site:
    """A site with a kit, and a server at the address in it.

    Attributes:
        folder: of all of it.
    """

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def joined(self, clock: str, home: Path) -> tuple[int, str]:
        """Exit code and words of a ``fedmce client join`` under a clock such as ``+10s``."""
        command = [sys.executable, "-m", "fedmce", "client", "join", str(self.project / "kits" / "ash")]
        command += [
            "--data",
            str(self.folder / "sites" / "ash"),
            "--home",
            str(home),
            "--port",
            str(free_ports(2)),
        ]
        faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock, "NO_COLOR": "1"}
        done = subprocess.run(
            command,
            env=os.environ | faked,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
        return done.returncode, done.stderr


def served(project: Path, port: int) -> Server:
    """Something that speaks TLS with the certificate that the project has now."""
    server = Server(("127.0.0.1", port), Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(project / "server.crt", project / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, port: int) -> Site:
    folder = tmp_path_factory.mktemp("t")
    export_sites(
        folder / "sites", made_dataset(made_site("ash", {"train": 40, "validation": 12, "test": 16})), ("ash",)
    )
    plan = ["dataset=folders", f"dataset.path={folder / 'sites'}", *PLAN]
    type_in("provision", "--sites", "ash", "--out", str(folder / "project"), "--server", f"localhost:{port}", *plan)
    return Site(folder)


@pytest.fixture
def server(site: Site, port: int) -> Iterator[None]:
    running = served(site.project, port)
    yield
    running.shutdown()
    running.server_close()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("clock", "words"), [("+10s", "s ahead of the server's"), ("-360s", "s behind the server's")])
def test_T13_a_site_whose_clock_flower_would_refuse_is_told_by_how_much(
    site: Site, tmp_path: Path, clock: str, words: str
) -> None:
    code, said = site.joined(clock, tmp_path / "home")
    assert code == 4, said
    assert words in said
    told = float(said.partition(words)[0].split()[-1])
    assert told == pytest.approx(abs(float(clock[:-1])), abs=4)


@pytest.mark.parametrize(("clock", "words"), [("+3d", "certificate has expired"), ("-2d", "not yet valid")])
def test_T04_a_server_certificate_of_another_day_is_refused_with_its_dates(
    site: Site, port: int, tmp_path: Path, clock: str, words: str
) -> None:
    type_in("server", "renew", "--days", "1", "--dir", str(site.project))
    running = served(site.project, port)
    try:
        code, said = site.joined(clock, tmp_path / "home")
    finally:
        running.shutdown()
        running.server_close()
    assert code == 4, said
    assert words in said
    assert "valid 20" in said
