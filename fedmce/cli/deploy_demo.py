"""Body of ``fedmce deploy-demo``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from fedmce._paths import use_app
from fedmce.cli.provision import deployed_plan
from fedmce.cli.run import sigterm_as_interrupt
from fedmce.errors import ConfigError


def deploy_demo(out: Path, rounds: int, overrides: Sequence[str], *, with_proxy: bool) -> None:
    """Run the demo and print what it showed.

    Raises:
        ConfigError: the folder is in use.
        FedMCEError: a step failed or the results differ.
    """
    use_app()
    from simulations.deployment.demo import Demo, run_demo

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"out: given {out}, which is not empty; needed a new or empty folder")
    deployed_plan(overrides)  # refuses what is wrong before anything is made
    with sigterm_as_interrupt():
        found = run_demo(Demo(out, rounds, with_proxy, tuple(overrides)), lambda line: typer.echo(line, err=True))
    typer.echo(f"deployed   {found.deployed / 'report.html'}")
    typer.echo(f"simulated  {found.simulated / 'report.html'}")
    typer.echo(f"largest difference of any score: {found.largest_difference:.2g}")
    seconds = " ".join(f"{s:.1f}" for s in found.round_s)
    typer.echo(f"seconds per round: {seconds}; of these the slowest site's own work: {max(found.train_s):.1f} at most")
