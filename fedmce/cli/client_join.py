"""Bodies of ``fedmce client join`` and ``recipes``."""

from __future__ import annotations

from pathlib import Path

import typer

from fedmce._paths import use_app
from fedmce.cli.lasting import lasting_output
from fedmce.cli.run import sigterm_as_interrupt
from fedmce.kits.verify import verify_kit


def join(
    kit: Path,
    data: Path,
    home: Path | None,
    port: int,
    fingerprint: str | None,
    key: Path | None,
    patience_s: float,
) -> None:
    """Keep a site in its federation until it is stopped.

    Raises:
        DataError: the site folder is not what the plan needs.
        NetworkError: kit, key, certificate or clock are not right.
        KeyboardInterrupt: Ctrl-C; SIGTERM ends the command with code 0, as a service should.
    """
    use_app()
    from fedmce.cli.door import INTERRUPTED, Terminated
    from simulations.deployment.client_join import open_site

    with lasting_output(), sigterm_as_interrupt():
        try:
            site = open_site(kit, data, home, port, _say, lambda: False, fingerprint, key, patience_s)
            typer.echo(f"site {site.kit.file.site} joins {site.kit.file.server}; Ctrl-C leaves", err=True)
            site.join()
        except Terminated:
            typer.echo("left", err=True)
        except KeyboardInterrupt:
            typer.echo("left", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _say(line: str) -> None:
    typer.echo(line, err=True)


def recipes(kit: Path, data: Path, home: Path, out: Path) -> None:
    """Write a systemd unit and a Compose file for a site."""
    use_app()
    from fedmce.folders.layout import SiteFile
    from simulations.deployment.recipes import write_site_recipes

    checked = verify_kit(kit, site=SiteFile.read(data).site)
    for path in write_site_recipes(kit, checked.file, data, home, out):
        typer.echo(path)
