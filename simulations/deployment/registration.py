"""Which nodes Flower lets in: what the roster says, also when it changes while the server runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedmce.durable import Disk, write_durably
from fedmce.errors import FedMCEError
from fedmce.kits.roster import node_file, read_roster
from fedmce.kits.server_folder import ServerFolder
from server.operator_word import leave_word
from simulations.flower_cli import CONNECTION, flwr

AGAIN_S = 5.0  # after Flower did not answer


@dataclass
class Registration:
    """Keeps Flower's list of nodes like the roster.

    Args:
        folder: of the server.
        run_folder: of the run; its round loop is told of sites that have no key left.
        say: takes lines for the operator.
    """

    folder: ServerFolder
    run_folder: Path
    say: Callable[[str], None]
    _seen: tuple[int, int] = field(default=(0, 0), repr=False)
    _not_before: float = field(default=0.0, repr=False)

    def bring(self, environment: Mapping[str, str]) -> None:
        """Register and unregister what differs.

        Raises:
            RunError: Flower says no, or nothing.
            IdentityError: the roster cannot be read.
        """
        seen, roster, noted = self._now(), read_roster(self.folder), self._noted()
        for node in roster.active():
            if node.fingerprint not in noted:
                path = str(node_file(self.folder, node).resolve())
                answer = flwr(["supernode", "register", path, CONNECTION, "--name", node.site], environment)
                noted[node.fingerprint] = str(answer["node-id"])
                self._note(noted)
        for node in roster.revoked():
            if node.fingerprint in noted:
                flwr(["supernode", "unregister", noted.pop(node.fingerprint), CONNECTION], environment)
                if not roster.active(node.site):
                    leave_word(self.run_folder, "revoke", node.site)
                self._note(noted)
                self.say(
                    f"the key {node.fingerprint} of {node.site} was revoked: the server takes nothing of it any more"
                )
        self._seen = seen

    def follow(self, environment: Mapping[str, str]) -> None:
        """Bring what has changed since the last look; a Flower that does not answer is asked again later."""
        if self._now() == self._seen or time.monotonic() < self._not_before:
            return
        try:
            self.bring(environment)
        except (FedMCEError, OSError) as error:
            self._not_before = time.monotonic() + AGAIN_S
            self.say(f"warning: the roster has changed and could not be brought to Flower yet: {error}")

    def _now(self) -> tuple[int, int]:
        try:
            about = self.folder.roster.stat()
        except OSError:
            return (0, 0)
        return (about.st_mtime_ns, about.st_ino)

    def _noted(self) -> dict[str, str]:
        """Flower's node id by fingerprint, of keys that its database has."""
        path = self.folder.path / "registered.json"
        if not (self.folder.path / "superlink.db").exists() or not path.exists():
            return {}
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _note(self, noted: Mapping[str, str]) -> None:
        path = self.folder.path / "registered.json"
        write_durably(Disk(), path, (json.dumps(noted, indent=2, sort_keys=True) + "\n").encode())
