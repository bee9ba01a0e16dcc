"""Bodies of ``fedmce server kit``, ``register``, ``revoke``, ``renew``, ``adopt``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import typer

from fedmce.errors import ConfigError
from fedmce.kits.address import read_name
from fedmce.kits.certificate import facts, read_certificate
from fedmce.kits.manage import KitRequest, adopt, make_kit, register, renew, revoke
from fedmce.kits.project_key import as_fingerprint
from fedmce.kits.roster import read_roster
from fedmce.kits.server_folder import ServerFolder

LIVE = "A server that runs takes this in within seconds, another one when it starts."


def kit(
    folder: Path,
    site: str,
    keys: str | None,
    public_key: Path | None,
    days: int | None,
    max_rows: int | None,
    *,
    new_site: bool = False,
    keep: bool = False,
) -> None:
    """Write a kit and say where it is, and which keys the site has now."""
    request = KitRequest(site, _keys(keys), days, public_key, new_site, max_rows, keep)
    place = make_kit(folder, request, _now())
    typer.echo(f"kit       {place}.tar")
    active = read_roster(ServerFolder(folder)).active(site)
    for node in active:
        typer.echo(f"key       {node.fingerprint}  since {node.added:%Y-%m-%d}")
    if len(active) > 1:
        old = active[0].fingerprint
        typer.echo("Both keys count until you close the old one, once the site runs on the new one:")
        typer.echo(f"fedmce server revoke {site} --key {old} --dir {folder}")


def register_key(folder: Path, public_key: Path, site: str | None) -> None:
    """Register a public key and print its fingerprint, to be compared by telephone."""
    node = register(folder, public_key, _now(), site)
    typer.echo(f"{node.site}  {node.fingerprint}")
    typer.echo(f"Compare this with what `fedmce client keygen` printed at the site. {LIVE}")


def revoke_keys(folder: Path, site: str, fingerprints: Sequence[str] | None) -> None:
    """Revoke and print what was."""
    wanted = [as_fingerprint(text) for text in fingerprints] if fingerprints else None
    for node in revoke(folder, site, _now(), wanted):
        typer.echo(f"revoked   {node.fingerprint} of {node.site}")
    typer.echo(LIVE)


def renew_certificate(folder: Path, days: int | None, san: Sequence[str]) -> None:
    """Renew and print names and dates."""
    renew(folder, _now(), days, [read_name(name) for name in san])
    known = facts(read_certificate(ServerFolder(folder).certificate))
    typer.echo(f"certificate for {', '.join(known.names)}; {known.dates}")
    typer.echo("Reload the proxy and restart Flower's server; sites need nothing new.")


def adopt_code(folder: Path) -> None:
    """Take the installed code and say what follows."""
    server = adopt(folder)
    typer.echo(f"code      fedmce {server.fedmce}, digest {server.app_digest[:12]}")
    typer.echo("Every site needs this version and a new kit: fedmce server kit SITE")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _keys(given: str | None) -> Literal["here", "site", "kept"] | None:
    match given:
        case None | "here" | "site" | "kept":
            return given
    raise ConfigError(f"keys: given {given!r}; needed here, site or kept")
