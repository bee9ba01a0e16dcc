"""What of a server's files will make sites or Flower refuse it, found at home before anybody is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fedmce.errors import ConfigError, FedMCEError, IdentityError
from fedmce.kits.app_code import app_digest
from fedmce.kits.authority import read_private_pem
from fedmce.kits.certificate import certificate_problems, read_certificate
from fedmce.kits.digest import plan_digest
from fedmce.kits.private_files import open_to_others
from fedmce.kits.problem import Problem
from fedmce.kits.server_folder import SECRET_BYTES, ServerFile, ServerFolder, read_plan, read_server


def server_problems(
    path: Path, now: datetime | None = None, *, until: datetime | None = None, app: str | None = None
) -> list[Problem]:
    """What of the server's files will make sites or Flower refuse it; for `fedmce doctor` and `fedmce server up`.

    Args:
        path: the folder.
        now: aware time; default the clock's.
        until: when a run may end; the certificate must last as long (4.7).
        app: digest of the code that the server runs; default this installation's.
    """
    now = datetime.now(UTC) if now is None else now
    try:
        folder, file = read_server(path)
    except IdentityError as error:
        return [_unread(error)]
    problems = certificate_problems(folder.certificate, file.names, now, authority=folder.authority, until=until)
    problems += certificate_problems(folder.authority, now=now)
    problems += _pair(folder) + _plan(folder, file)
    if (app_digest() if app is None else app) != file.app_digest:
        what = f"made with fedmce {file.fedmce} and other code than is installed here; every site would refuse it"
        fix = "Install that version; or `fedmce server adopt` this one and make a new kit for every site."
        problems.append(Problem("T20", str(folder.file), what, fix))
    return problems + _exposed(folder) + _secret(folder)


def _unread(error: FedMCEError) -> Problem:
    """A file that is missing or damaged, in the words of its reader."""
    where, _, rest = str(error).partition(": ")
    return Problem("", where, rest, "")


def _pair(folder: ServerFolder) -> list[Problem]:
    """Certificate and key of the server belong together."""
    needed = "the server's key, which `fedmce provision` made"
    try:
        own = read_private_pem(folder.key, needed, may_be_open=True)
        theirs = read_certificate(folder.certificate)
    except IdentityError as error:
        return [_unread(error)]
    if theirs.public_key() == own.public_key():
        return []
    what = f"not the key of {folder.certificate.name}"
    return [Problem("T03", str(folder.key), what, "Make a new pair with `fedmce server renew`.")]


def _plan(folder: ServerFolder, file: ServerFile) -> list[Problem]:
    try:
        if plan_digest(read_plan(folder)) == file.plan_digest:
            return []
    except ConfigError as error:
        return [_unread(error)]
    what = "changed since the sites got their kits; every site would refuse it"
    fix = "Restore it, or provision the changed plan and hand out new kits."
    return [Problem("T20", str(folder.plan), what, fix)]


def _exposed(folder: ServerFolder) -> list[Problem]:
    """Folders and files that others on the machine can open (T08)."""
    problems = []
    for path, mode in ((folder.path, 700), (folder.key, 600), (folder.secret, 600), (folder.signing, 700)):
        if path.exists() and (exposed := open_to_others(path)):
            what = f"mode {exposed}, so others on this machine can open it; needed 0{mode}"
            problems.append(Problem("T08", str(path), what, f"chmod {mode} {path}"))
    return problems


def _secret(folder: ServerFolder) -> list[Problem]:
    fix = f"head -c {SECRET_BYTES} /dev/urandom > {folder.secret}, with umask 077, while the server is down."
    try:
        size = folder.secret.stat().st_size
    except OSError as error:
        return [Problem("T16", str(folder.secret), f"cannot be read ({error.strerror}); the server must have one", fix)]
    if size < SECRET_BYTES:
        return [Problem("T16", str(folder.secret), f"{size} bytes; needed {SECRET_BYTES}", fix)]
    return []
