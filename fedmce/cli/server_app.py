"""``fedmce server``: what the operator of a federation does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce.cli.door import door

server_app = typer.Typer(
    help="The server of a federation between sites: kits, keys, certificate.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DIR = Annotated[Path, typer.Option("--dir", help="Folder that `fedmce provision` made.")]
SITE = Annotated[str, typer.Argument(help="Name of the site.", show_default=False)]


@server_app.command("kit")
def server_kit(
    site: SITE,
    folder: DIR = Path("."),
    keys: Annotated[
        str | None,
        typer.Option(
            help="here: make a new node key, in the kit; site: the site makes or has it; kept: the one that --keep left. "
            "Default: a key that the site has stays, else here.",
            show_default=False,
        ),
    ] = None,
    pub: Annotated[Path | None, typer.Option("--pub", help="Public key that the site sent; registered first.")] = None,
    days: Annotated[
        int | None, typer.Option(help="Life of the kit; default as provisioned.", show_default=False)
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="More rows of the site never count.", show_default=False)
    ] = None,
    new_site: Annotated[bool, typer.Option("--new-site", help="The project does not know the site yet.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Also keep a key that is made here, in project/nodes.")] = False,
) -> None:
    """Write a further or renewed kit, in place of the site's earlier one."""
    with door():
        from fedmce.cli.server_kits import kit

        kit(folder, site, keys, pub, days, max_rows, new_site=new_site, keep=keep)


@server_app.command("register")
def server_register(
    public_key: Annotated[Path, typer.Argument(metavar="SITE.pub", help="Public key that the site sent.")],
    folder: DIR = Path("."),
    site: Annotated[str | None, typer.Option(help="Whose key; default the file's name.", show_default=False)] = None,
) -> None:
    """Take a site's public key into the roster."""
    with door():
        from fedmce.cli.server_kits import register_key

        register_key(folder, public_key, site)


@server_app.command("revoke")
def server_revoke(
    site: SITE,
    folder: DIR = Path("."),
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Fingerprint of one key; default all of the site.", show_default=False),
    ] = None,
) -> None:
    """Close a site's keys for ever; nothing that they sign counts any more."""
    with door():
        from fedmce.cli.server_kits import revoke_keys

        revoke_keys(folder, site, key)


@server_app.command("renew")
def server_renew(
    folder: DIR = Path("."),
    days: Annotated[int | None, typer.Option(help="Life; default as provisioned.", show_default=False)] = None,
    san: Annotated[
        list[str] | None, typer.Option("--san", help="A further host name or address.", show_default=False)
    ] = None,
) -> None:
    """Make a new server certificate; sites need nothing new."""
    with door():
        from fedmce.cli.server_kits import renew_certificate

        renew_certificate(folder, days, san or [])


@server_app.command("adopt")
def server_adopt(folder: DIR = Path(".")) -> None:
    """Take the code installed here as the project's; every site needs a new kit then."""
    with door():
        from fedmce.cli.server_kits import adopt_code

        adopt_code(folder)


@server_app.command("up")
def server_up(
    folder: DIR = Path("."),
    port: Annotated[
        int, typer.Option(min=1, max=65533, help="Of loopback, for the SuperLink; the next two too.")
    ] = 8000,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the result is still printed.")] = False,
) -> None:
    """Run the federation to its end; killed or stopped, the same command goes on after the last committed round."""
    with door() as out:
        from fedmce.cli.server_up import up

        up(folder, port, out, is_quiet=quiet)


@server_app.command("status")
def server_status(
    folder: DIR = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say how far the run is and how each site stands."""
    with door(as_json):
        from fedmce.cli.server_status import status

        status(folder, as_json=as_json)


@server_app.command("readmit")
def server_readmit(site: SITE, folder: DIR = Path(".")) -> None:
    """Ask a site again that was expelled, or that came back with another key; a running server hears of it."""
    with door():
        from fedmce.cli.server_status import readmit

        readmit(folder, site)


@server_app.command("recipes")
def server_recipes(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the files.", show_default=False)],
    folder: DIR = Path("."),
    port: Annotated[int, typer.Option(min=1, max=65533, help="Of the SuperLink, as for `server up`.")] = 8000,
) -> None:
    """Write the proxy's configuration (nginx), a systemd unit and a Compose file."""
    with door():
        from fedmce.cli.server_up import recipes

        recipes(folder, out, port)
