"""Reads an audit log and says where it was changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.audit.line import FIRST, KEYS, KINDS, Head, digest, parts
from fedmce.errors import StateError

LEDGER_KEY = "audit_head"


@dataclass(frozen=True)
class Problem:
    """The first line that is not as it was written.

    Attributes:
        line: from 1.
        what: what is wrong with it.
    """

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass
class Verdict:
    """What a pass over a log found.

    Attributes:
        lines: good lines from the start.
        size: bytes of these.
        head: the last of them; None if there is none.
        first: data of the first line: run and digest of the plan.
        problem: None for a whole log.
        committed: last round that the log calls committed, 0 for none; a rollback takes it back.
        manifest: hash of that round's manifest, if the log has it.
    """

    lines: int = 0
    size: int = 0
    head: Head | None = None
    first: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    committed: int = 0
    manifest: str = ""

    @property
    def is_whole(self) -> bool:
        """Nothing was changed, as far as the known heads tell."""
        return self.problem is None


def verify(path: Path, ledger: Path | None = None, heads: Iterable[Head] = ()) -> Verdict:
    """Check seals, order and kinds of all lines, and that the log still holds every head that others have seen.

    A log that was rewritten as a whole, or whose tail was cut, is sound in itself: only a head that somebody else
    keeps tells. The head of the last committed round is in its ``round.json``, sites keep those of their messages.

    Args:
        path: the log.
        ledger: a site's ledger, see :func:`heads_in_ledger`.
        heads: further heads that must be in the log.

    Raises:
        StateError: the log or the ledger cannot be read.
    """
    seen = [*heads, *(heads_in_ledger(ledger) if ledger is not None else ())]
    try:
        with path.open("rb") as file:
            return judge(file, seen)
    except OSError as error:
        raise StateError(
            f"{path}: no readable audit log ({error.strerror}); needed the file log/audit.jsonl"
        ) from error


def judge(lines: Iterable[bytes], heads: Iterable[Head] = ()) -> Verdict:
    """The same of lines as bytes, each with its newline."""
    known: dict[int, set[str]] = {}
    for head in heads:
        known.setdefault(head.seq, set()).add(head.h)
    verdict = Verdict()
    for line in lines:
        what = _judge(line, verdict, known)
        if what:
            verdict.problem = Problem(verdict.lines + 1, what)
            return verdict
    if verdict.lines == 0:
        verdict.problem = Problem(1, "the log is empty")
    elif (last := max(known, default=-1)) >= verdict.lines:
        verdict.problem = Problem(
            verdict.lines + 1, f"the log ends here, but line {last + 1} was seen; the tail was cut off"
        )
    return verdict


def _judge(line: bytes, verdict: Verdict, known: dict[int, set[str]]) -> str:
    """Why this line cannot be the next one; empty if it is, and then the verdict has moved on."""
    if not line.endswith(b"\n"):
        return "the line is cut off"
    found = parts(line[:-1])
    if found is None:
        return "not laid out as an audit line"
    h, prev, body = found
    if prev != (verdict.head.h if verdict.head else FIRST).encode():
        return "does not follow the line before; lines were removed, added or moved here"
    if digest(prev, body).encode() != h:
        return "the line was edited: its hash does not fit"
    try:
        tree = json.loads(line)
    except ValueError:
        return "not JSON"
    problem = _content(tree, verdict)
    if problem:
        return problem
    seq = verdict.lines
    if seq == 0:
        # A log that was accepted as a new beginning owns up to the heads of the one that it replaces.
        replaced = tree["data"].get("replaces", [])
        for number, hashes in list(known.items()):
            hashes -= {text.partition(":")[2] for text in map(str, replaced) if text.startswith(f"{number}:")}
            if not hashes:
                del known[number]
    if known.get(seq, {h.decode()}) != {h.decode()}:
        return "another line was seen here; the log was rewritten"
    if tree["kind"] in ("commit", "rollback"):
        verdict.committed, verdict.manifest = int(tree["round"] or 0), str(tree["data"].get("manifest", ""))
    if seq == 0:
        verdict.first = tree["data"]
    verdict.lines, verdict.size, verdict.head = seq + 1, verdict.size + len(line), Head(seq, h.decode())
    return ""


def _content(tree: Any, verdict: Verdict) -> str:
    if not isinstance(tree, dict) or tree.keys() != KEYS:
        return f"holds other keys than {', '.join(sorted(KEYS))}"
    if tree["seq"] != verdict.lines:
        return f"is numbered {tree['seq']}; needed {verdict.lines}"
    if tree["kind"] not in KINDS:
        return f"has the unknown kind {tree['kind']!r}"
    if verdict.lines == 0 and tree["kind"] != "run_start":
        return f"the log starts with {tree['kind']!r}; needed run_start"
    return ""


def heads_in_ledger(path: Path) -> list[Head]:
    """Heads that a site saw: every ``"audit_head": "number:hash"`` in the JSON lines of its ledger.

    Raises:
        StateError: the ledger cannot be read or a head in it is malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: no readable ledger ({error}); needed JSON lines") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError as error:
            if number == len(lines):  # the last line may be cut off
                break
            raise StateError(f"{path}, line {number}: not JSON; needed a ledger that nobody edited") from error
        if isinstance(row, dict) and row.get(LEDGER_KEY):
            found.append(Head.of(str(row[LEDGER_KEY])))
    return found
