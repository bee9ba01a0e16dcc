"""``roster.json``: which public node key speaks for which site; what a server registers with Flower."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from fedmce.config.folders import SiteName
from fedmce.config.nearest import unknown
from fedmce.config.section import Section
from fedmce.errors import ConfigError, IdentityError
from fedmce.kits.keys import PublicKey
from fedmce.kits.kit import Fingerprint
from fedmce.kits.private_files import replace_private, write_private
from fedmce.kits.server_folder import ServerFolder


class Node(Section):
    """A key that a site has or had."""

    site: SiteName
    fingerprint: Fingerprint
    file: str = Field(pattern=r"^[a-z0-9-]+\.pub$", description="in the folder nodes/")
    added: AwareDatetime
    revoked: AwareDatetime | None = None  # from then on no message of it counts


class RosterSite(Section):
    """What the server knows of a site beside its keys."""

    max_rows: Annotated[int, Field(ge=1)] | None = None  # as in its kit
    kit_until: AwareDatetime | None = None  # end of its newest kit


class Roster(Section):
    """All sites of a project, and every key that was ever one of theirs."""

    format: Literal[1] = 1
    sites: dict[SiteName, RosterSite]
    nodes: tuple[Node, ...] = ()

    def active(self, site: str | None = None) -> tuple[Node, ...]:
        """Keys that are registered and not revoked, of one site or of all; two of one site while a key is changed."""
        return tuple(n for n in self.nodes if n.revoked is None and site in (None, n.site))

    def revoked(self) -> tuple[Node, ...]:
        """Keys that must not be registered with Flower."""
        return tuple(n for n in self.nodes if n.revoked is not None)

    def site_of(self, fingerprint: str) -> str | None:
        """The site that a key speaks for; None: nobody's, or revoked."""
        return next((n.site for n in self.active() if n.fingerprint == fingerprint), None)

    def check_known(self, site: str) -> None:
        """Raise unless the site is one of the project's.

        Raises:
            ConfigError: it is not, with the nearest name.
        """
        if site not in self.sites:
            raise ConfigError(
                f"site: {unknown('site', site, sorted(self.sites))}. to add one: fedmce server kit {site} --new-site"
            )


def read_roster(folder: ServerFolder) -> Roster:
    """The roster of a server.

    Raises:
        IdentityError: it cannot be read.
    """
    try:
        return Roster.model_validate_json(folder.roster.read_bytes())
    except (OSError, ValidationError):
        raise IdentityError(
            f"{folder.roster}: missing or not a roster; needed the one that `fedmce provision` made. restore it from a copy"
        ) from None


def write_roster(folder: ServerFolder, roster: Roster) -> None:
    """Put a roster in place of the one before."""
    replace_private(folder.roster, (roster.model_dump_json(indent=2) + "\n").encode())


def with_node(folder: ServerFolder, roster: Roster, site: str, key: PublicKey, now: datetime) -> tuple[Roster, Node]:
    """Add a public key of a site, as a file in ``nodes/`` and in the roster that is returned, not yet written.

    Raises:
        IdentityError: the key is another site's, or was revoked.
        ConfigError: no such site.
    """
    roster.check_known(site)
    for node in roster.nodes:
        if node.fingerprint != key.fingerprint:
            continue
        if node.revoked is not None:
            raise IdentityError(
                f"{site}: the key {key.fingerprint} was revoked on {node.revoked:%Y-%m-%d}; needed a new one. "
                "have the site make it: fedmce client keygen DIR"
            )
        if node.site != site:
            raise IdentityError(
                f"{site}: the key {key.fingerprint} is {node.site}'s; needed one key per site. "
                "have the site make its own: fedmce client keygen DIR"
            )
        return roster, node
    name = f"{site}-{hashlib.sha256(key.line.encode()).hexdigest()[:12]}.pub"
    path = folder.nodes / name
    path.unlink(missing_ok=True)  # left by a command that ended before the roster was written
    write_private(path, key.named(site))
    node = Node(site=site, fingerprint=key.fingerprint, file=name, added=now)
    return roster.model_copy(update={"nodes": (*roster.nodes, node)}), node


def without_nodes(
    roster: Roster, site: str, now: datetime, fingerprints: Sequence[str] | None = None
) -> tuple[Roster, tuple[Node, ...]]:
    """Revoke keys of a site.

    Args:
        roster: as it is.
        site: whose keys.
        now: aware time.
        fingerprints: which; None: all.

    Returns:
        The roster, not yet written, and what was revoked.

    Raises:
        ConfigError: no such site.
        IdentityError: the site has no such key, or none at all.
    """
    roster.check_known(site)
    active = roster.active(site)
    if missing := set(fingerprints or ()) - {node.fingerprint for node in active}:
        known = ", ".join(node.fingerprint for node in active) or "none"
        raise IdentityError(
            f"{site}: no registered key {sorted(missing)[0]}; registered: {known}. compare the fingerprint"
        )
    closed = tuple(n for n in active if fingerprints is None or n.fingerprint in fingerprints)
    if not closed:
        raise IdentityError(f"{site}: no registered key; there is nothing to revoke")
    gone = {node.fingerprint for node in closed}
    nodes = tuple(n.model_copy(update={"revoked": now}) if n.fingerprint in gone else n for n in roster.nodes)
    return roster.model_copy(update={"nodes": nodes}), tuple(n for n in nodes if n.fingerprint in gone)


def node_file(folder: ServerFolder, node: Node) -> Path:
    """The public key's file, for ``flwr supernode register FILE --name SITE``."""
    return folder.nodes / node.file
