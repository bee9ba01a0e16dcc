"""One line of the audit log: what it holds and how it is sealed.

A line is ``{"h":"...","prev":"...",`` and then the canonical JSON of the rest without its opening brace. ``h`` is
SHA-256 of ``prev`` and that canonical JSON; ``prev`` is the ``h`` of the line before, 64 zeros in the first. The
layout is fixed to the byte, so that a reader hashes what stands in the file and not what a parser made of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from fedmce.errors import StateError

KINDS = frozenset(
    {
        "run_start",
        "plan",
        "roster",
        "join",
        "leave",
        "bench",
        "expel",
        "readmit",
        "ask",
        "reply",
        "void",
        "commit",
        "resume",
        "rollback",
        "grant",
        "config_change",
        "key_register",
        "key_revoke",
        "dp_spend",
        "shutdown",
    }
)
KEYS = frozenset({"boot", "data", "h", "kind", "prev", "round", "seq", "site", "t_mono", "t_wall"})
FIRST = "0" * 64
HEX = 64
_H, _PREV = b'{"h":"', b'","prev":"'
AT_PREV = len(_H) + HEX + len(_PREV)
AT_REST = AT_PREV + HEX + 2  # after the quotation mark and the comma


@dataclass(frozen=True)
class Head:
    """The newest line of a log: who keeps it can tell later whether the log up to there is still the same.

    Attributes:
        seq: number of the line, from 0.
        h: its hash.
    """

    seq: int
    h: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.h}"

    @classmethod
    def of(cls, text: str) -> Head:
        """Inverse of ``str(head)``. Raises :class:`StateError` for another layout."""
        seq, _, h = text.partition(":")
        if not seq.isdecimal() or len(h) != HEX or not set(h) <= set("0123456789abcdef"):
            raise StateError(f"audit head: given {text[:80]!r}; needed number:hash, such as 17:9f86d0…")
        return cls(int(seq), h)


def seal(prev: str, rest: dict[str, Any]) -> tuple[bytes, str]:
    """The line, newline included, and its hash.

    Args:
        prev: hash of the line before.
        rest: all keys of the line but ``prev`` and ``h``; what JSON cannot hold becomes null or text.
    """
    body = json.dumps(_plain(rest), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    h = digest(prev.encode(), body)
    return b'{"h":"%b","prev":"%b",%b\n' % (h.encode(), prev.encode(), body[1:]), h


def digest(prev: bytes, body: bytes) -> str:
    """Hash of a line."""
    return hashlib.sha256(prev + body).hexdigest()


def parts(line: bytes) -> tuple[bytes, bytes, bytes] | None:
    """``(h, prev, rest)`` of a line without its newline, as bytes; None if it is laid out in another way."""
    h, prev = line[len(_H) : len(_H) + HEX], line[AT_PREV : AT_PREV + HEX]
    if line[:AT_REST] != b'{"h":"%b","prev":"%b",' % (h, prev) or len(line) <= AT_REST:
        return None
    return h, prev, b"{" + line[AT_REST:]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
