"""Everything that a project needs before its first run, made in one step or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from fedmce import __version__
from fedmce.config.folders import SiteName
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.kits.address import Address
from fedmce.kits.app_code import app_digest
from fedmce.kits.authority import issue, make_authority
from fedmce.kits.digest import plan_digest, travelling
from fedmce.kits.issue_kit import Wanted, add_kit
from fedmce.kits.keys import public_part
from fedmce.kits.kit import plan_file
from fedmce.kits.private_files import make_private_folder, sync_folder, write_private
from fedmce.kits.project_key import new_project_key, project_key_file
from fedmce.kits.roster import Roster, RosterSite, write_roster
from fedmce.kits.server_folder import SECRET_BYTES, ServerFile, ServerFolder

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # the hop from the proxy to Flower's server is TLS too
LONGEST, MOST_ROWS = 3650, 10**9  # days, rows that a limit may name


@dataclass(frozen=True)
class Request:
    """What an operator asks for.

    Attributes:
        sites: their names.
        server: where sites reach the server.
        names: further names of its certificate.
        days: life of certificates and kits.
        keys: who makes the node keys.
        keep: also keep the node keys that are made here, so that a lost kit can be made again with the same key.
        max_rows: by site, rows beyond which a site cannot count.
    """

    sites: tuple[str, ...]
    server: Address
    names: tuple[str, ...] = ()
    days: int = 365
    keys: Literal["here", "site"] = "here"
    keep: bool = False
    max_rows: Mapping[str, int] = field(default_factory=dict)


def provision(out: Path, plan: RunConfig, request: Request, now: datetime) -> ServerFolder:
    """Make the folder of a server with a kit for every site.

    All is written into a hidden folder beside ``out`` and renamed at the end: whoever finds ``out`` finds it whole.

    Raises:
        ConfigError: ``out`` is not new or empty, or the request is wrong; nothing was written.
    """
    out = Path(out)
    check_request(request)
    _check_plan(plan, request.sites)
    plan = travelling(plan)
    if os.path.lexists(out) and (not out.is_dir() or out.is_symlink() or any(out.iterdir())):
        raise ConfigError(f"out: given {out}, which is not empty; needed a new or empty folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))  # 0700 under every umask
    except OSError as error:
        raise ConfigError(f"out: given {out}, and {error.strerror}; needed a folder that can be made") from None
    try:
        _fill(ServerFolder(beside), plan, request, now)
        os.rename(beside, out)  # over an empty folder; over anything else it fails
        sync_folder(out.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return ServerFolder(out)


def check_request(request: Request) -> None:
    """Raise what is wrong with names and numbers.

    Raises:
        ConfigError: every problem in one message.
    """
    problems = site_problems(request.sites)
    problems += [f"max-rows: {site!r} is none of the sites" for site in request.max_rows if site not in request.sites]
    problems += [
        f"max-rows: given {n} for {site}; needed 1 to {MOST_ROWS}"
        for site, n in request.max_rows.items()
        if not 1 <= n <= MOST_ROWS
    ]
    if not 1 <= request.days <= LONGEST:
        problems.append(f"days: given {request.days}; needed 1 to {LONGEST}")
    if problems:
        raise ConfigError("; ".join(problems))


def site_problems(sites: Sequence[str]) -> list[str]:
    """What is wrong with names of sites: form, count, repetition."""
    problems = [] if sites else ["sites: given none; needed at least one"]
    for site in sites:
        try:
            TypeAdapter(SiteName).validate_python(site)
            # It is an argument of commands, where a dash begins an option.
            is_good = not site.startswith("-")
        except ValidationError:
            is_good = False
        if not is_good:
            problems.append(f"sites: given {site[:60]!r}; needed 1 to 40 of a-z, 0-9 and -, not - at the start")
    problems += [f"sites: {site} is given twice" for site in sorted({s for s in sites if sites.count(s) > 1})]
    return problems


def _check_plan(plan: RunConfig, sites: Sequence[str]) -> None:
    if plan.sites is not None and set(plan.sites) != set(sites):
        raise ConfigError(
            f"sites: the plan names {', '.join(sorted(plan.sites))}, --sites {', '.join(sorted(sites))}; "
            "needed the same, or no list in the plan"
        )


def _fill(folder: ServerFolder, plan: RunConfig, request: Request, now: datetime) -> None:
    for path in (folder.nodes, folder.state, folder.kits, folder.signing):
        make_private_folder(path)
    key, authority = new_project_key(), make_authority(now)
    names = tuple(dict.fromkeys([request.server.host, *request.names, *LOOPBACK]))
    certificate = issue(authority, names, request.days, now)
    server = ServerFile(
        server=str(request.server),
        names=names,
        project=public_part(key.public_key()).fingerprint,
        plan_digest=plan_digest(plan),
        app_digest=app_digest(),
        fedmce=__version__,
        made=now,
        days=request.days,
    )
    for path, content in (
        (folder.file, yaml.safe_dump(server.model_dump(mode="json"), sort_keys=False).encode()),
        (folder.authority, authority.issued.certificate),
        (folder.certificate, certificate.certificate),
        (folder.key, certificate.key),
        (folder.secret, secrets.token_bytes(SECRET_BYTES)),
        (folder.project, public_part(key.public_key()).named("fedmce-project")),
        (folder.plan, plan_file(plan)),
        (folder.authority_key, authority.issued.key),
        (folder.project_key, project_key_file(key)),
    ):
        write_private(path, content)
    roster = Roster(sites={site: RosterSite(max_rows=request.max_rows.get(site)) for site in sorted(request.sites)})
    until = now + timedelta(days=request.days)
    for site in sorted(request.sites):
        wanted = Wanted(site, until, request.keys, keep=request.keep)
        roster, _ = add_kit(folder, server, roster, wanted, key, now)
    write_roster(folder, roster)
    for path in (folder.nodes, folder.kits, folder.signing, folder.path):
        sync_folder(path)
