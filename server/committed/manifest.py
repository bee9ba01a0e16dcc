"""The last file of a committed round: it names every other one, so that a round is whole or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedmce.errors import StateError

SCHEMA = "fedmce.state/1"
NAME = "MANIFEST"


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def canonical(tree: Any) -> bytes:
    """JSON with sorted keys and no spaces."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True)
class Manifest:
    """What a committed round holds.

    Attributes:
        run: id of the run.
        round: its number.
        files: size and SHA-256 by name.
        previous_round: the round committed before; 0 for none.
        previous: hash of that one's manifest; empty for none.
        sha256: hash of all of this.
    """

    run: str
    round: int
    files: dict[str, tuple[int, str]]
    previous_round: int
    previous: str
    sha256: str

    @classmethod
    def of_content(cls, run: str, number: int, content: Mapping[str, bytes], before: Manifest | None) -> Manifest:
        """The manifest of a round that is about to be committed."""
        files = {name: (len(data), sha256(data)) for name, data in sorted(content.items())}
        previous_round, previous = (before.round, before.sha256) if before is not None else (0, "")
        draft = cls(run, number, files, previous_round, previous, "")
        return cls(run, number, files, previous_round, previous, sha256(canonical(draft._tree())))

    def to_bytes(self) -> bytes:
        """As the file holds it."""
        return canonical(self._tree() | {"sha256": self.sha256}) + b"\n"

    def _tree(self) -> dict[str, Any]:
        files = {name: {"bytes": size, "sha256": h} for name, (size, h) in self.files.items()}
        return {
            "schema": SCHEMA,
            "run": self.run,
            "round": self.round,
            "files": files,
            "previous_round": self.previous_round,
            "previous": self.previous,
        }

    @classmethod
    def of_bytes(cls, data: bytes) -> Manifest:
        """Inverse of :meth:`to_bytes`.

        Raises:
            StateError: cut, edited or of another layout.
        """
        try:
            tree = json.loads(data)
            files = {str(name): (int(f["bytes"]), str(f["sha256"])) for name, f in tree["files"].items()}
            found = cls(
                str(tree["run"]),
                int(tree["round"]),
                files,
                int(tree["previous_round"]),
                str(tree["previous"]),
                str(tree["sha256"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"{NAME} cannot be read ({type(error).__name__})") from error
        if tree.get("schema") != SCHEMA:
            raise StateError(f"{NAME} has the layout {tree.get('schema')!r}; this program reads {SCHEMA}")
        if found.to_bytes() != data or sha256(canonical(found._tree())) != found.sha256:
            raise StateError(f"{NAME} does not fit its own checksum")
        return found
