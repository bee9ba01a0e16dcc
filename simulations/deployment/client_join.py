"""``fedmce client join``: a site's SuperNode, kept up; before it starts, everything that can be wrong is looked at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.worker.place import private_folder
from fedmce.errors import IdentityError
from fedmce.folders.check import check_folder
from fedmce.folders.demands import Demands
from fedmce.folders.layout import SiteFile
from fedmce.kits.problem import refuse
from fedmce.kits.verify import Kit, verify_kit
from simulations.deployment.reach import reach_problems
from simulations.flower_cli import home_environment
from simulations.processes import Supervised, check_port_is_free, program, stop_all

SOCKET = "worker/sock"  # of the site worker, in the site's home; its folder is for the owner alone
LOOK_S, SAY_EVERY_S = 1.0, 60.0
REFUSED = "Failed to activate SuperNode"  # Flower's word for a key that is not registered, or held by a killed node
# The SuperLink takes a killed node for connected until two heartbeats have failed, and a server that starts registers
# keys one by one: only a refusal that lasts is meant.
HELD_S, REFUSED_S = 90.0, 180.0


@dataclass
class SiteRun:
    """One site on this machine.

    Args:
        kit: checked.
        data: the site folder.
        home: what the site keeps: Flower's home, logs, ledger, the worker's socket.
        port: of loopback, for the node's own service.
        say: takes lines for the person at the site.
        until: True when the site should leave.
    """

    kit: Kit
    data: Path
    home: Path
    port: int
    say: Callable[[str], None]
    until: Callable[[], bool]

    def join(self) -> None:
        """Keep the node up until it should leave; then nothing of it runs any more.

        Raises:
            IdentityError: the server does not know the key.
        """
        check_port_is_free("127.0.0.1", self.port, "--port")
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_folder(self.home.resolve() / SOCKET)  # before a message finds that no worker can be there
        (self.home / "log").mkdir(mode=0o700, exist_ok=True)
        stop_all(None, str(self.home.resolve()))
        self._await_server()
        node = Supervised("SuperNode", self._command(), self._environment(), self.home / "log" / "supernode.log")
        refused_since, told = 0.0, 0.0
        node.start()
        try:
            while not self.until():
                if node.is_alive:
                    # Alive for long after a refusal: it was let in.
                    refused_since = refused_since if node.lives_s < HELD_S else 0.0
                elif REFUSED in node.last_words():
                    refused_since = refused_since or time.monotonic()
                    if time.monotonic() - refused_since > REFUSED_S:
                        raise self._unknown_key()
                code = node.exit_code
                if node.keep():
                    self.say(f"the SuperNode had ended with {code}; started again")
                elif not node.is_alive and time.monotonic() - told > SAY_EVERY_S:
                    told = time.monotonic()
                    self.say(f"waiting to start the SuperNode again; its log: {node.log}")
                time.sleep(LOOK_S)
        finally:
            node.stop()
            stop_all(None, str(self.home.resolve()))

    def _unknown_key(self) -> IdentityError:
        return IdentityError(
            f"site {self.kit.file.site}: the server refuses the key {self.kit.file.node_key}; needed one that is registered. "
            "tell the operator this fingerprint (fedmce server register), then join again"
        )

    def _await_server(self) -> None:
        """A server that is down is waited for; one that is not the right one is not."""
        told = 0.0
        while not self.until():
            problems = reach_problems(self.kit.file.address, self.kit.authority)
            waits = [p for p in problems if p.case in ("N01", "N05", "N09", "N11")]
            refuse([p for p in problems if p not in waits], f"server {self.kit.file.server}")
            if not waits:
                return
            if time.monotonic() - told > SAY_EVERY_S:
                told = time.monotonic()
                self.say(f"waiting for the server: {waits[0]}")
            time.sleep(2.0)

    def _environment(self) -> dict[str, str]:
        return home_environment(self.home.resolve() / "flower", self.kit.file.server, self.kit.authority) | {
            "FEDMCE_ENGINE_HOME": str(self.home.resolve())
        }

    def _command(self) -> list[str]:
        own = {
            "site": self.kit.file.site,
            "folder": str(self.data.resolve()),
            "home": str(self.home.resolve()),
            "worker": str(self.home.resolve() / SOCKET),
            "plan": self.kit.file.plan_digest,
        }
        settings = " ".join(f"{key}={json.dumps(value)}" for key, value in own.items())
        command = [program("flower-supernode"), "--superlink", self.kit.file.server]
        command += [
            "--root-certificates",
            str(self.kit.authority),
            "--auth-supernode-private-key",
            str(self.kit.node_key),
        ]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--node-config", settings]
        return command + ["--health-server-address", f"127.0.0.1:{self.port + 1}"]


def open_site(
    kit: Path,
    data: Path,
    home: Path | None,
    port: int,
    say: Callable[[str], None],
    until: Callable[[], bool],
    fingerprint: str | None = None,
    node_key: Path | None = None,
) -> SiteRun:
    """A site that is ready to join: kit and data are checked, nothing has been sent.

    Raises:
        DataError: the site folder is not what the plan needs; every finding is in the message.
        IdentityError: the kit, its key or certificate is not right.
    """
    checked = verify_kit(kit, fingerprint, site=SiteFile.read(data).site, node_key=node_key)
    check_folder(data, demands=Demands.of_run(checked.plan, checked.file.site)).raise_errors()
    for warning in checked.warnings:
        say(f"warning: {warning}")
    return SiteRun(checked, data, home or kit.parent / f"{checked.file.site}-home", port, say, until)
