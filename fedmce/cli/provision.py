"""``fedmce provision``: plan, authority, keys and kits of a project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import typer

from fedmce.config.privacy_rules import between_sites_problems
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.kits.address import read_address, read_name
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder, read_server

# Before the user's own: what a federation between real sites starts from.
DEPLOYED = ("exchange=deployed", "privacy=floors", "aggregation.claims.bounded=true")


def provision_project(
    out: Path,
    sites: str,
    server: str,
    san: Sequence[str],
    days: int,
    keys: str,
    max_rows: Sequence[str],
    overrides: Sequence[str],
    *,
    keep: bool = False,
    i_know: bool = False,
) -> None:
    """Make the folder of a server and a kit for each site, and say what comes next.

    Args:
        out: new or empty folder.
        sites: names, with commas.
        server: ``HOST:PORT``.
        san: further names of the server's certificate.
        days: life of certificates and kits.
        keys: ``here`` or ``site``.
        max_rows: ``SITE=N`` each.
        overrides: of the plan.
        keep: keep node keys that are made here.
        i_know: a plan may release counts of single rows.

    Raises:
        ConfigError: anything given is wrong; nothing was written.
    """
    request = Request(
        sites=tuple(name.strip() for name in sites.split(",") if name.strip()),
        server=read_address(server),
        names=tuple(read_name(name) for name in san),
        days=days,
        keys=_keys(keys),
        keep=keep,
        max_rows=dict(_limit(text) for text in max_rows),
    )
    plan = with_modalities(deployed_plan(overrides, i_know=i_know), request.sites)
    folder = provision(out, plan, request, datetime.now(UTC).replace(microsecond=0))
    _say(folder, request)


def deployed_plan(overrides: Sequence[str], *, i_know: bool = False) -> RunConfig:
    """The plan of a federation between real sites: its defaults, then the user's overrides.

    Raises:
        ConfigError: a wrong configuration, or floors that let counts of single rows out (K04).
    """
    from fedmce.cli.compose import load_config

    plan = load_config([*DEPLOYED, *overrides, *(["privacy.i_know=true"] if i_know else [])])
    if problems := list(between_sites_problems(plan.privacy)):
        raise ConfigError("; ".join(problems))
    return plan


def with_modalities(plan: RunConfig, sites: Sequence[str]) -> RunConfig:
    """A plan on site folders with what these say written out, so that it needs them no more.

    Raises:
        ConfigError: another data set, or what needs the rows of all sites in one place.
        DataError: the folders are not there, or do not agree.
    """
    if plan.dataset.name != "folders":
        raise ConfigError(
            f"dataset: given {plan.dataset.name}, where every site opens a folder of its own; needed dataset=folders, with "
            "dataset.path of example folders or with dataset.modalities and dataset.classes. `fedmce site export` writes "
            "some data sets as such folders"
        )
    from fedmce.data.folders import check_not_dealt
    from fedmce.folders.plan import planned

    check_not_dealt(plan)

    # Where each site opens its own folder, the names are known from the command alone.
    is_here = plan.dataset.path is not None or plan.sites is not None
    return planned(plan if is_here else plan.model_copy(update={"sites": tuple(sites)}))


def _keys(given: str) -> Literal["here", "site"]:
    if given == "here":
        return "here"
    if given == "site":
        return "site"
    raise ConfigError(f"keys: given {given!r}; needed here (made now, in the kit) or site (made at the site)")


def _limit(text: str) -> tuple[str, int]:
    site, _, number = text.partition("=")
    if not number.isascii() or not number.isdigit():
        raise ConfigError(f"max-rows: given {text!r}; needed SITE=N, such as north=5000")
    return site, int(number)


def _say(folder: ServerFolder, request: Request) -> None:
    _, server = read_server(folder.path)
    until = f"{request.days} days"
    typer.echo(f"project   {server.project}")
    typer.echo("          tell this fingerprint to every site by telephone, not with the kit")
    typer.echo(f"server    {folder.path}  (for {server.server}; certificate and kits last {until})")
    typer.echo(f"plan      {server.plan_digest[:12]}  {folder.plan}")
    for site in sorted(request.sites):
        typer.echo(f"kit       {folder.kits / site}.tar")
    if request.keys == "here":
        typer.echo("Each kit holds a private key: hand it over in a way that nobody else can read, then delete")
        typer.echo(f"{folder.kits}. Keys that sites make themselves need no such way: --keys site.")
    else:
        typer.echo("Each site makes its key (`fedmce client keygen`) and sends node.pub; take it in with")
        typer.echo(f"`fedmce server register SITE.pub --dir {folder.path}`.")
    typer.echo(f"{folder.signing} holds the keys that sign; keep it off the server where you can.")
