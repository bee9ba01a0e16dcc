"""What an operator does with a project after it was provisioned: kits, keys, the server's certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import yaml

from fedmce import __version__
from fedmce.errors import ConfigError, IdentityError
from fedmce.kits.app_code import app_digest
from fedmce.kits.authority import issue, read_authority
from fedmce.kits.issue_kit import Wanted, add_kit
from fedmce.kits.keys import read_public_key
from fedmce.kits.private_files import locked, replace_private
from fedmce.kits.project_key import read_project_key
from fedmce.kits.provision import LONGEST, MOST_ROWS, site_problems
from fedmce.kits.roster import Node, RosterSite, read_roster, with_node, without_nodes, write_roster
from fedmce.kits.server_folder import ServerFile, ServerFolder, read_server


@dataclass(frozen=True)
class KitRequest:
    """A further or renewed kit.

    Attributes:
        site: for whom.
        keys: ``here``, ``site`` or ``kept`` as in :class:`~fedmce.kits.issue_kit.Wanted`; None: the site's key stays,
            or one is made here if the site has none.
        days: life of the kit; None: as provisioned.
        public_key: file of a key that the site made before; it is registered first.
        is_new: the site may be one that the project does not know yet.
        max_rows: new limit; None: as it was.
        keep: also keep a key that is made here.
    """

    site: str
    keys: Literal["here", "site", "kept"] | None = None
    days: int | None = None
    public_key: Path | None = None
    is_new: bool = False
    max_rows: int | None = None
    keep: bool = False


def make_kit(path: Path, request: KitRequest, now: datetime) -> Path:
    """Write a kit into ``kits/`` of a server's folder, in place of the site's earlier one.

    Raises:
        ConfigError: unknown site, or a wrong number.
        IdentityError: a key is missing, another site's or revoked; or the code here is not that of the other kits.
    """
    folder, server = read_server(path)
    if problems := site_problems([request.site]):
        raise ConfigError("; ".join(problems))
    if app_digest() != server.app_digest:
        raise IdentityError(
            f"{folder.file}: kits were made with fedmce {server.fedmce} and other code than is installed here "
            f"({__version__}); needed one code for all sites. install that version, or take this one for all: "
            "fedmce server adopt, and a new kit for every site"
        )
    days = _days(request.days, server)
    key = read_project_key(folder.project_key)
    with locked(folder.path):
        roster = read_roster(folder)
        if request.is_new and request.site not in roster.sites:
            roster = roster.model_copy(update={"sites": roster.sites | {request.site: RosterSite()}})
        roster.check_known(request.site)
        if request.max_rows is not None:
            if not 1 <= request.max_rows <= MOST_ROWS:
                raise ConfigError(f"max-rows: given {request.max_rows}; needed 1 to {MOST_ROWS}")
            limited = roster.sites[request.site].model_copy(update={"max_rows": request.max_rows})
            roster = roster.model_copy(update={"sites": roster.sites | {request.site: limited}})
        if request.public_key is not None:
            roster, _ = with_node(folder, roster, request.site, read_public_key(request.public_key), now)
        has_key = bool(roster.active(request.site))
        keys = request.keys or ("site" if has_key else "here")
        wanted = Wanted(request.site, now + timedelta(days=days), keys, keep=request.keep)
        roster, place = add_kit(folder, server, roster, wanted, key, now)
        write_roster(folder, roster)
    return place


def register(path: Path, public_key: Path, now: datetime, site: str | None = None) -> Node:
    """Take a site's public key into the roster; a running server registers it with Flower.

    Args:
        path: the server's folder.
        public_key: file that the site sent.
        now: aware time.
        site: whose it is; default the file's name without ``.pub``.

    Raises:
        ConfigError: unknown site.
        IdentityError: no P-384 public key, another site's, or revoked.
    """
    folder, _ = read_server(path)
    key = read_public_key(public_key)
    with locked(folder.path):
        roster, node = with_node(folder, read_roster(folder), site or public_key.stem, key, now)
        write_roster(folder, roster)
    return node


def revoke(path: Path, site: str, now: datetime, fingerprints: Sequence[str] | None = None) -> tuple[Node, ...]:
    """Close keys of a site in the roster, for ever; a running server takes them out of Flower.

    Args:
        path: the server's folder.
        site: whose keys.
        now: aware time.
        fingerprints: which; None: all.

    Raises:
        ConfigError: unknown site.
        IdentityError: the site has no such key.
    """
    folder, _ = read_server(path)
    with locked(folder.path):
        roster, closed = without_nodes(read_roster(folder), site, now, fingerprints)
        write_roster(folder, roster)
    return closed


def renew(path: Path, now: datetime, days: int | None = None, names: Sequence[str] = ()) -> ServerFile:
    """Make a new server certificate with the same authority; kits stay as they are.

    The key goes first: between the two replacements the pair does not fit, and a proxy that loads it then refuses
    and keeps the old pair.

    Args:
        path: the server's folder.
        now: aware time.
        days: its life; None: as provisioned.
        names: further names it is for.

    Raises:
        ConfigError: wrong number of days.
        IdentityError: the authority's key is missing, or ends before.
    """
    folder, server = read_server(path)
    life = _days(days, server)
    authority = read_authority(folder.authority, folder.authority_key)
    server = server.model_copy(update={"names": tuple(dict.fromkeys([*server.names, *names]))})
    issued = issue(authority, server.names, life, now)
    with locked(folder.path):
        replace_private(folder.key, issued.key)
        replace_private(folder.certificate, issued.certificate)
        _write(folder, server)
    return server


def adopt(path: Path) -> ServerFile:
    """Take the code that is installed here as that of the project; every site needs a new kit then.

    Raises:
        IdentityError: no server's folder.
    """
    folder, server = read_server(path)
    server = server.model_copy(update={"app_digest": app_digest(), "fedmce": __version__})
    with locked(folder.path):
        _write(folder, server)
    return server


def _write(folder: ServerFolder, server: ServerFile) -> None:
    replace_private(folder.file, yaml.safe_dump(server.model_dump(mode="json"), sort_keys=False).encode())


def _days(given: int | None, server: ServerFile) -> int:
    days = server.days if given is None else given
    if not 1 <= days <= LONGEST:
        raise ConfigError(f"days: given {days}; needed 1 to {LONGEST}")
    return days
