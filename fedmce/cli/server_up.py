"""Bodies of ``fedmce server up`` and ``recipes``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from fedmce._paths import use_app
from fedmce.cli.door import Door, Terminated
from fedmce.cli.lasting import lasting_output
from fedmce.cli.progress import progress
from fedmce.cli.run import sigterm_as_interrupt
from fedmce.kits.server_folder import read_plan, read_server


def up(folder: Path, port: int, out: Door, *, is_quiet: bool) -> None:
    """Run the federation of a server folder to its end and print the result.

    Raises:
        FedMCEError: it could not; the exit code says what kind of thing must be mended.
        KeyboardInterrupt: Ctrl-C; what is committed stays, and the next ``up`` goes on from there. SIGTERM ends the
            command in the same way with code 0, as a service should.
    """
    use_app()
    with lasting_output():
        try:
            _up(folder, port, out, is_quiet=is_quiet)
        except Terminated:
            typer.echo("stopped; the same command goes on after the last committed round", err=True)


def _up(folder: Path, port: int, out: Door, *, is_quiet: bool) -> None:
    from simulations.deployment.server_up import Ports, open_server

    found, _ = read_server(folder)
    rounds = read_plan(found).rounds
    with sigterm_as_interrupt(), progress(rounds, is_quiet=is_quiet, stream=sys.stderr) as show:

        def on_row(row: dict[str, Any]) -> None:
            if row["event"] == "round":
                out.rounds_done = row["round"]
            show(row)

        run = open_server(folder, Ports(port, port + 1, port + 2), on_row, lambda line: typer.echo(line, err=True))
        out.folder, out.rounds_done = run.run_folder, 0
        run_folder = run.up()
    from fedmce.cli.summary import print_summary
    from fedmce.report import draw

    draw(run_folder)
    print_summary(run_folder, json.loads((run_folder / "result.json").read_text(encoding="utf-8")))


def recipes(folder: Path, out: Path, port: int) -> None:
    """Write the proxy's configuration, a systemd unit and a Compose file for a server folder."""
    use_app()
    from simulations.deployment.recipes import write_server_recipes

    for path in write_server_recipes(folder, out, port):
        typer.echo(path)
