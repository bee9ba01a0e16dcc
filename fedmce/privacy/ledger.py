"""Release ledger: what left a site, line by line, so that the site can show it to whoever answers for its data.

JSON lines, rights for the owner alone, appended before the reply leaves. A line holds no data: names of components,
told counts, lengths, digests and reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmce.durable import Disk
from fedmce.errors import StateError
from fedmce.privacy.floors import Reason

NAME, SCHEMA = "ledger.jsonl", "fedmce.ledger/1"
HEAD = "audit_head"  # the key by which `fedmce audit verify --ledger` finds what the server had said


@dataclass(frozen=True)
class Block:
    """One component of a reply.

    Attributes:
        component: its name.
        rows: that trained it, as told; 0 where it was held back.
        norm: length of its change before it was cut; None where it was held back.
        cut: factor that it was cut with; None where no noise was added.
        noise_sd: standard deviation of the noise on every weight; 0 = none.
        is_single: no other site holds it, so the average of the round is this block.
        held_back: why it was not released.
        digest: of its arrays as they left.
    """

    component: str
    rows: int
    norm: float | None
    cut: float | None
    noise_sd: float
    is_single: bool
    held_back: tuple[Reason, ...]
    digest: str


@dataclass(frozen=True)
class Entry:
    """One reply.

    Attributes:
        round: 0 for the profile.
        kind: ``profile``, ``train``, ``score`` or ``test``.
        site: its name.
        plan: digest of the configuration that asked.
        base: digest of the model that was received.
        asked: sites that were asked, as the server said; 0 = not said.
        steps: of local training.
        batch: rows per step.
        blocks: components of the reply.
        told: names of the numbers that left, with how many of each.
        digest: of all arrays of the reply.
        audit_head: newest line of the server's audit log, as the order told it.
    """

    round: int
    kind: str
    site: str
    plan: str
    base: str = ""
    asked: int = 0
    steps: int = 0
    batch: int = 0
    blocks: tuple[Block, ...] = ()
    told: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    audit_head: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a line of the ledger."""
        tree: dict[str, Any] = {"schema": SCHEMA, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        tree |= {key: value for key, value in asdict(self).items() if key != HEAD}
        return tree | ({HEAD: self.audit_head} if self.audit_head else {})


class Ledger:
    """The ledger of a site.

    Args:
        home: folder of the site; the file is ``ledger.jsonl`` in it.
    """

    def __init__(self, home: Path) -> None:
        self.path = Path(home) / NAME

    def write(self, entry: Entry) -> None:
        """Add a line and flush it; whoever cannot write down what leaves lets nothing leave.

        Raises:
            OSError: the disk is full or gone.
        """
        disk = Disk()
        line = json.dumps(entry.to_json(), sort_keys=True, separators=(",", ":")) + "\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._drop_unfinished(disk)
            disk.append(self.path, line.encode())
            disk.sync(self.path)
        finally:
            disk.close()

    def _drop_unfinished(self, disk: Disk) -> None:
        """A line that a power cut left half written was of a reply that never left."""
        data = disk.read(self.path) if disk.kind(self.path) == "file" else b""
        if data and not data.endswith(b"\n"):
            disk.cut(self.path, data.rfind(b"\n") + 1)


def read_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a ledger; one that a power cut left unfinished at the end is passed over.

    Raises:
        StateError: the file cannot be read, or a line in it is no entry.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: no readable ledger ({error}); needed the file {NAME} of a site's home") from error
    for number, line in enumerate(lines, start=1):
        try:
            tree = json.loads(line)
            if tree["schema"] != SCHEMA:
                raise ValueError(f"schema {tree['schema']!r}")
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                return
            raise StateError(f"{path}, line {number}: no entry of a ledger ({error}); needed {SCHEMA}") from error
        yield tree
