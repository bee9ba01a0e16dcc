"""``fedmce client``: what the person at a site does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce.cli.door import door

client_app = typer.Typer(help="A site of a federation: its key, its kit.", no_args_is_help=True, rich_markup_mode=None)


@client_app.command("keygen")
def client_keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder, or that of the kit.", show_default=False)],
) -> None:
    """Make the site's key pair: node.key stays here, node.pub goes to the operator."""
    with door():
        from fedmce.cli.client_kit import keygen

        keygen(folder)


@client_app.command("inspect")
def client_inspect(
    kit: Annotated[Path, typer.Argument(metavar="KIT", help="Folder of an unpacked kit.", show_default=False)],
    fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the project, as the operator told it by telephone: SHA256:...", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Site folder that will take part.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Node key, if not node.key in the kit.", show_default=False)
    ] = None,
) -> None:
    """Show and check a kit; exit code 4 if anything is wrong with it."""
    with door():
        from fedmce.cli.client_kit import inspect

        inspect(kit, fingerprint, data, key)


KIT = Annotated[Path, typer.Argument(metavar="KIT", help="Folder of an unpacked kit.", show_default=False)]
DATA = Annotated[Path, typer.Option("--data", help="Site folder; opened for reading alone.", show_default=False)]


@client_app.command("join")
def client_join(
    kit: KIT,
    data: DATA,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="What the site keeps: logs, ledger; default SITE-home beside the kit."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65534, help="Of loopback, for the node; the next one too.")] = 9094,
    fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the project, as the operator told it by telephone: SHA256:...", show_default=False),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Node key, if not node.key in the kit.", show_default=False)
    ] = None,
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds for which a key that the server refuses is tried again, while it starts."),
    ] = 180.0,
) -> None:
    """Check kit, data, server and clock, then take part until stopped."""
    with door():
        from fedmce.cli.client_join import join

        join(kit, data, home, port, fingerprint, key, patience)


@client_app.command("recipes")
def client_recipes(
    kit: KIT,
    data: DATA,
    home: Annotated[Path, typer.Option("--home", help="What the site keeps: logs, ledger.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", show_default=False)],
) -> None:
    """Write a systemd unit and a Compose file for this site."""
    with door():
        from fedmce.cli.client_join import recipes

        recipes(kit, data, home, out)


@client_app.command("worker")
def client_worker(
    socket: Annotated[
        Path, typer.Option("--socket", help="Unix socket, in a folder of mode 0700.", show_default=False)
    ],
    memory_gib: Annotated[
        float | None,
        typer.Option(min=0.1, help="Most memory that a training may take; default no limit.", show_default=False),
    ] = None,
    idle_s: Annotated[
        float | None,
        typer.Option(min=0, help="End after so long without a message; default never.", show_default=False),
    ] = None,
    wait_s: Annotated[float, typer.Option(min=0, help="Wait for another worker on the socket to end.")] = 0.0,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when the starting process does.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how the worker there is, as JSON.")] = False,
) -> None:
    """Keep a site's training warm, in the foreground; a site's node starts one by itself."""
    with door():
        from fedmce.cli.client_worker import worker

        worker(socket, memory_gib, idle_s, wait_s, with_parent, status)
