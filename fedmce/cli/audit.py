"""Body of ``fedmce audit verify``: finds the log and the heads that the state folder keeps of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from fedmce.audit import Head, Verdict, verify
from fedmce.errors import StateError

PLACES = ("log/audit.jsonl", "state/log/audit.jsonl", "audit.jsonl")


def verify_file(path: Path, ledger: Path | None = None) -> Verdict:
    """Verify a log, print what was found.

    Args:
        path: the log, or a state or run folder that holds one. Lying in a state folder, the log is also compared
            with the heads in the committed rounds.
        ledger: a site's ledger.

    Raises:
        StateError: the log was changed, or cannot be read.
    """
    log = log_of(path)
    rounds = log.parent.parent / "rounds"
    heads = [head for _, head in heads_in_rounds(rounds)]
    verdict = verify(log, ledger, heads)
    if verdict.problem is not None:
        raise StateError(
            f"{log}, {verdict.problem}. needed the log as it was written; {verdict.lines} line(s) before it are sound. "
            "take the file from a backup, or treat what follows as unproven"
        )
    against = [f"{len(heads)} committed round(s)"] if heads else []
    against += [f"ledger {ledger}"] if ledger is not None else []
    beside = f", agrees with {' and '.join(against)}" if against else "; no head was at hand to tell a cut tail"
    if verdict.first.get("replaces"):
        beside += "; it replaces a log that was set aside, see its first lines"
    typer.echo(f"{log}: {verdict.lines} line(s) sound{beside}. head {verdict.head}")
    return verdict


def log_of(path: Path) -> Path:
    """The log itself. Raises :class:`StateError` if a folder holds none."""
    if not path.is_dir():
        return path
    for place in PLACES:
        if (path / place).is_file():
            return path / place
    raise StateError(f"{path}: no audit log; needed the file audit.jsonl, or a run folder with state/log/audit.jsonl")


def heads_in_rounds(rounds: Path) -> Iterator[tuple[int, Head]]:
    """Round and head of every committed round that can be read; whether a round is whole is not asked here."""
    for folder in sorted(rounds.glob("[0-9]*")) if rounds.is_dir() else []:
        try:
            facts = json.loads((folder / "round.json").read_text(encoding="utf-8"))
            yield int(facts["round"]), Head.of(str(facts["audit"]))
        except (OSError, ValueError, KeyError, TypeError, StateError):
            continue
