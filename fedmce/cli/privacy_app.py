"""``fedmce leak-probe`` and ``fedmce client ledger``: what updates tell of rows, and what left a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce.cli.door import door


def leak_probe(
    rows: Annotated[str, typer.Option(help="Rows of a site, with commas.")] = "1,2,4,8,16,32,64,128",
    noise: Annotated[
        str, typer.Option(help="Standard deviations of site noise, with commas.")
    ] = "0,0.005,0.01,0.02,0.05,0.1,0.2",
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions; membership takes twice as many.")] = 10,
    device: Annotated[str, typer.Option(help="Of torch, for our own components: cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for leak_probe.json and leak_probe.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Attack updates of networks trained on few rows, with and without noise, and judge the default floors."""
    with door(as_json):
        from fedmce.cli.leak_probe import probe

        probe(rows, noise, seeds, device, out, as_json=as_json)


def ledger(
    file: Annotated[Path, typer.Argument(help="ledger.jsonl, or the home of the site.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as one JSON list.")] = False,
) -> None:
    """Print what left this site, reply by reply."""
    with door(as_json):
        from fedmce.cli.ledger import show_ledger

        show_ledger(file, as_json=as_json)
