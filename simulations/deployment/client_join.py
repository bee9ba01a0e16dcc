"""``fedmce client join``: a site's SuperNode, kept up; before it starts, everything that can be wrong is looked at."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from client.worker.place import Lock, check_length, private_folder
from fedmce.errors import IdentityError, StateError
from fedmce.folders.check import check_folder
from fedmce.folders.demands import Demands
from fedmce.folders.layout import SiteFile
from fedmce.kits.keys import read_node_key
from fedmce.kits.problem import refuse
from fedmce.kits.verify import Kit, verify_kit
from server.committed.room import free_bytes
from simulations.deployment.checked_app import LOG, checked_path
from simulations.deployment.reach import reach_problems
from simulations.flower_cli import home_environment
from simulations.ports import check_port_is_free
from simulations.processes import MARK, Supervised, stop_all

SOCKET = "worker/sock"  # of the site worker, in the site's home; its folder is for the owner alone
LOOK_S, SAY_EVERY_S, MOST_FRESH = 1.0, 60.0, 1_000_000
ADMITTED = "SuperNode ID:"  # Flower's word for a key that the server knows
REFUSED = "Failed to activate SuperNode"  # Flower's word for a key that is not registered, or held by a killed node
# flower-supernode, but ended when its loop has: after an answer that is none of the server's, or a 500, Flower gives the
# connection up for good, and the node's own service would keep the process there, alive to whoever keeps it up.
NODE = (
    "import os, sys; from flwr.supernode.cli import flower_supernode; sys.argv[0] = 'flower-supernode'; "
    "flower_supernode(); sys.stdout.flush(); sys.stderr.flush(); os._exit(1)"
)
# The SuperLink takes a killed node for connected until two heartbeats have failed, and a server that starts registers
# keys one by one: only a refusal that lasts is meant.
HELD_S, PATIENCE_S = 90.0, 180.0
ROOM_BYTES = 2**20  # of the home, below which a round may not find room for what the site keeps


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
        patience_s: how long a key that the server refuses is tried again.
    """

    kit: Kit
    data: Path
    home: Path
    port: int
    say: Callable[[str], None]
    until: Callable[[], bool]
    patience_s: float = PATIENCE_S
    _told_full: float = field(default=0.0, repr=False)
    _refused_since: float = field(default=0.0, repr=False)
    _is_refused: bool = field(default=False, repr=False)

    def join(self) -> None:
        """Keep the node up until it should leave; then nothing of it runs any more.

        Raises:
            IdentityError: the server does not know the key.
            NetworkError: a port is taken.
            StateError: the home cannot be made, or another command keeps a node up from it.
        """
        for port in (self.port, self.port + 1):
            check_port_is_free("127.0.0.1", port, "--port")
        self._make_home()
        held = Lock(self.home.resolve() / "join")  # before anything of another command is taken for left over
        if not held.take():
            raise StateError(
                f"{self.home}: process {held.holder()} keeps a site up from it; needed a home for each. end that process "
                "first, or give another folder with --home"
            )
        try:
            self._stay()
        finally:
            held.drop()

    def _stay(self) -> None:
        stop_all(None, str(self.home.resolve()))
        self._await_server()
        node = Supervised("SuperNode", self._command(), self._environment(), self.home / "log" / "supernode.log")
        words, refusals = Tail(node.log), Tail(self.home / "log" / LOG)
        node.start()
        try:
            while not self.until():
                self._watch(node, words.fresh())
                if code := refusals.fresh().strip():
                    self.say(code.splitlines()[-1])
                self._tell_of_a_full_disk()
                time.sleep(LOOK_S)
        finally:
            node.stop()
            stop_all(None, str(self.home.resolve()))

    def _make_home(self) -> None:
        """The folder of what the site keeps, before a message finds that nothing can be kept there.

        Raises:
            StateError: it cannot be made, is open to others, or its path is too long for a socket.
        """
        socket = self.home.resolve() / SOCKET
        check_length(socket)
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.home / "log").mkdir(mode=0o700, exist_ok=True)
            private_folder(socket)
        except OSError as error:
            raise StateError(
                f"home: given {self.home}, and {error.strerror}; needed a folder that can be made and written. give another "
                "with --home"
            ) from None

    def _watch(self, node: Supervised, said: str) -> None:
        """Keep the node, and give up when the server goes on refusing its key.

        Raises:
            IdentityError: it does.
        """
        if ADMITTED in said:
            self.say(f"the server has let {self.kit.file.site} in; log: {node.log}")
        if REFUSED in said:
            if not self._refused_since:
                self._refused_since = time.monotonic()
                self.say(
                    f"the server does not take the key {self._fingerprint()} so far: it registers keys while it starts. "
                    f"trying again for {self.patience_s:.0f} s"
                )
            self._is_refused = True
            node.stop()  # it would end by itself, a quarter of a minute and a trace later
        if self._is_refused and time.monotonic() - self._refused_since > self.patience_s:
            raise IdentityError(
                f"{self._refusal()}; needed a registered key that no other node uses. tell the operator this fingerprint "
                "(fedmce server register), or stop the other node; then join again"
            )
        if not self._is_refused and node.is_alive and node.lives_s > HELD_S:
            self._refused_since = 0.0  # alive for long: it was let in
        code = node.exit_code
        if node.keep():
            if not self._is_refused:
                self.say(f"the SuperNode had ended with {code}; started again (its log: {node.log})")
            self._is_refused = False

    def _tell_of_a_full_disk(self) -> None:
        """Now and once a minute; the logs that would say so are on that disk."""
        try:
            free, now = free_bytes(self.home), time.monotonic()
        except OSError:  # a home that is away for a while is no reason to leave
            return
        if free >= ROOM_BYTES:
            self._told_full = 0.0
        elif not self._told_full or now - self._told_full > SAY_EVERY_S:
            self._told_full = now
            self.say(
                f"the disk of {self.home} is full ({free / 2**20:.1f} MiB free): rounds are answered with disk_full until there "
                "is room"
            )

    def _refusal(self) -> str:
        return (
            f"site {self.kit.file.site}: the server refuses the key {self._fingerprint()}: it is not registered, or another "
            "node uses it (a copy of this kit; a node that was killed counts for a minute and a half)"
        )

    def _fingerprint(self) -> str:
        return read_node_key(self.kit.node_key).fingerprint

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
        home = self.home.resolve()
        found = home_environment(home / "flower", self.kit.file.server, self.kit.authority)
        path = os.pathsep.join([str(checked_path(home, self.kit.file.app_digest)), found["PATH"]])
        return found | {MARK: str(home), "PATH": path}

    def _command(self) -> list[str]:
        own = {
            "site": self.kit.file.site,
            "folder": str(self.data.resolve()),
            "home": str(self.home.resolve()),
            "worker": str(self.home.resolve() / SOCKET),
            "plan": self.kit.file.plan_digest,
        }
        settings = " ".join(f"{key}={json.dumps(value)}" for key, value in own.items())
        command = [sys.executable, "-P", "-c", NODE, "--superlink", self.kit.file.server]
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
    patience_s: float = PATIENCE_S,
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
    home = home or kit.parent / f"{checked.file.site}-home"
    return SiteRun(checked, data, home, port, say, until, patience_s)


class Tail:
    """What was added to a file since it was last looked at; what it held before does not count."""

    def __init__(self, path: Path) -> None:
        self._path, self._from = path, path.stat().st_size if path.exists() else 0

    def fresh(self) -> str:
        """New text; empty if there is none."""
        try:
            with self._path.open("rb") as opened:
                opened.seek(self._from)
                found = opened.read(MOST_FRESH)
        except FileNotFoundError:
            return ""
        end = len(found) if len(found) == MOST_FRESH else found.rfind(b"\n") + 1  # whole lines
        self._from += end
        return found[:end].decode("utf-8", "replace")
