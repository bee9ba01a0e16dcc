"""Body of ``fedmce client ledger``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from fedmce.cli.door import print_json
from fedmce.privacy import read_ledger
from fedmce.privacy.ledger import NAME


def show_ledger(path: Path, *, as_json: bool = False) -> None:
    """Print a ledger: one line per reply, one per component under it.

    Raises:
        StateError: there is none, or it was damaged.
    """
    lines = list(read_ledger(path / NAME if path.is_dir() else path))
    if as_json:
        print_json(lines)
        return
    for line in lines:
        for text in _shown(line):
            typer.echo(text)
    typer.echo(f"{len(lines)} replies; {sum(_is_held(b) for line in lines for b in line['blocks'])} blocks held back")


def _shown(line: dict[str, Any]) -> Iterator[str]:
    asked = f", {line['asked']} sites asked" if line["asked"] else ""
    head = f", audit head {line['audit_head'][:20]}" if line.get("audit_head") else ""
    numbers = sum(line["told"].values())
    yield (
        f"{line['time']}  round {line['round']} {line['kind']}: {numbers} numbers, {len(line['blocks'])} blocks{asked}, "
        f"digest {line['digest'][:12] or '-'}{head}"
    )
    for block in line["blocks"]:
        if _is_held(block):
            what = f"held back ({', '.join(block['held_back'])})"
        elif not block["rows"]:
            what = "not moved, no weight"
        else:
            noise = f", noise {block['noise_sd']:g}, cut to {block['cut']:.2f}" if block["cut"] is not None else ""
            single = ", held by no other site" if block["is_single"] else ""
            what = f"{block['rows']} rows, change {block['norm']:.3g}{noise}{single}"
        yield f"    {block['component']:<24} {what}"


def _is_held(block: dict[str, Any]) -> bool:
    return bool(block["held_back"])
