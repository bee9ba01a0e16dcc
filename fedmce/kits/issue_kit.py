"""One kit for one site, from what the server's folder holds: the first one, a further one, a renewed one."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedmce.errors import IdentityError
from fedmce.kits.keys import new_node_key, read_node_key
from fedmce.kits.kit import KitFile, KitParts, write_kit
from fedmce.kits.private_files import make_private_folder, sync_folder, write_private
from fedmce.kits.roster import Node, Roster, RosterSite, with_node
from fedmce.kits.server_folder import ServerFile, ServerFolder, read_plan


@dataclass(frozen=True)
class Wanted:
    """Which kit.

    Attributes:
        site: for whom; in the roster.
        until: end of the kit.
        key: ``here``: a new node key is made and lies in the kit, and nowhere else unless ``keep``; ``site``: the
            site makes its own, or has one already; ``kept``: the key that an earlier ``keep`` left.
        keep: of ``here``: also keep it in ``project/nodes/``.
    """

    site: str
    until: datetime
    key: Literal["here", "site", "kept"]
    keep: bool = False


@dataclass(frozen=True)
class _NodeKey:
    """What the kit says of the key, and the private part if it holds it."""

    fingerprint: str | None
    private: bytes | None = field(default=None, repr=False)


def add_kit(
    folder: ServerFolder, server: ServerFile, roster: Roster, wanted: Wanted, key: Ed25519PrivateKey, now: datetime
) -> tuple[Roster, Path]:
    """Write ``kits/SITE`` and ``kits/SITE.tar``, in place of earlier ones.

    Args:
        folder: of the server.
        server: its ``server.yaml``.
        roster: with the site in it.
        wanted: which kit.
        key: the project's, which signs.
        now: aware time.

    Returns:
        The roster with the new key and the end of the kit, to be written by the caller; and the kit's folder.

    Raises:
        ConfigError: no such site.
        IdentityError: the kept key is not there.
    """
    roster.check_known(wanted.site)
    roster, node_key = _node_key(folder, roster, wanted, now)
    known, plan = roster.sites[wanted.site], read_plan(folder)
    file = KitFile(
        site=wanted.site,
        server=server.server,
        project=server.project,
        plan_digest=server.plan_digest,
        app_digest=server.app_digest,
        fedmce=server.fedmce,
        made=now,
        not_after=wanted.until,
        key="site" if node_key.private is None else "kit",
        node_key=node_key.fingerprint,
        max_rows=known.max_rows,
        floors=plan.privacy,
    )
    parts = KitParts(file, folder.authority.read_bytes(), folder.plan.read_bytes(), node_key.private)
    place = _put(folder, wanted.site, parts, key)
    sites = roster.sites | {wanted.site: RosterSite(max_rows=known.max_rows, kit_until=wanted.until)}
    return roster.model_copy(update={"sites": sites}), place


def _node_key(folder: ServerFolder, roster: Roster, wanted: Wanted, now: datetime) -> tuple[Roster, _NodeKey]:
    kept = folder.signing / "nodes" / f"{wanted.site}.key"
    if wanted.key == "here":
        private, public = new_node_key()
        roster, _ = with_node(folder, roster, wanted.site, public, now)
        if wanted.keep:
            if not kept.parent.is_dir():
                make_private_folder(kept.parent)
            kept.unlink(missing_ok=True)
            write_private(kept, private)
        return roster, _NodeKey(public.fingerprint, private)
    newest = _newest(roster, wanted.site)
    if wanted.key == "site":
        return roster, _NodeKey(newest.fingerprint if newest else None)
    if not kept.is_file():
        raise IdentityError(
            f"{kept}: not there; needed the node key of {wanted.site}, which is kept only if it was made with --keep. "
            "make a new one: --keys here"
        )
    public = read_node_key(kept)
    roster, _ = with_node(folder, roster, wanted.site, public, now)
    return roster, _NodeKey(public.fingerprint, kept.read_bytes())


def _newest(roster: Roster, site: str) -> Node | None:
    """While a key is changed a site has two; a kit binds it to the one that stays."""
    active = roster.active(site)  # in the order in which they were added
    return active[-1] if active else None


def _put(folder: ServerFolder, site: str, parts: KitParts, key: Ed25519PrivateKey) -> Path:
    """Write the kit beside its place, then move it there; an earlier kit of the site goes."""
    place, tar = folder.kits / site, folder.kits / f"{site}.tar"
    with tempfile.TemporaryDirectory(prefix=f".{site}.", dir=folder.kits) as name:
        beside = Path(name)
        write_kit(beside / site, parts.contents(key))
        if place.exists():
            os.rename(place, beside / "before")
        os.rename(beside / site, place)
        os.replace(beside / f"{site}.tar", tar)
        shutil.rmtree(beside / "before", ignore_errors=True)
    sync_folder(folder.kits)
    return place
