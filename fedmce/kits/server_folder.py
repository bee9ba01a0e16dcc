"""The folder that the operator keeps: what the server runs on, and apart from it the keys that only sign.

::

    DIR/                     0700, every file 0600
      server.yaml            address, names, digests, who signs
      ca.crt server.crt server.key
      superexec.secret       32 random bytes: only our executor may take the server's task
      project.pub            whose fingerprint the operator tells the sites
      plan.yaml
      roster.json nodes/     public node keys by site
      state/                 of the run
      project/               ca.key, project.key: can lie elsewhere while the server runs
      kits/                  SITE/ and SITE.tar, to be handed over and deleted
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import AwareDatetime, Field, ValidationError

from fedmce.config.explain import explain
from fedmce.config.load import config_from_yaml
from fedmce.config.schema import RunConfig
from fedmce.config.section import Section
from fedmce.errors import FedMCEError, IdentityError
from fedmce.kits.address import Address, read_address
from fedmce.kits.authority import read_private_pem
from fedmce.kits.certificate import certificate_problems, read_certificate
from fedmce.kits.digest import app_digest, plan_digest
from fedmce.kits.kit import Fingerprint, Sha256
from fedmce.kits.private_files import open_to_others
from fedmce.kits.problem import Problem
from fedmce.kits.yaml_text import read_yaml

SERVER, SECRET_BYTES = "server.yaml", 32


class ServerFile(Section):
    """``server.yaml``."""

    format: Literal[1] = 1
    server: str = Field(description="HOST:PORT at which sites reach it")
    names: tuple[str, ...] = Field(min_length=1, description="host names and addresses of its certificate")
    project: Fingerprint = Field(description="of the key that signs kits; told to sites by another channel")
    plan_digest: Sha256
    app_digest: Sha256
    fedmce: str = Field(description="version that provisioned")
    made: AwareDatetime
    days: int = Field(ge=1, description="of certificates and kits")

    @property
    def address(self) -> Address:
        """Where sites reach it."""
        return read_address(self.server)


@dataclass(frozen=True)
class ServerFolder:
    """Paths in the folder of a server; nothing is read here.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def file(self) -> Path:
        """``server.yaml``."""
        return self.path / SERVER

    @property
    def authority(self) -> Path:
        """Certificate of the authority, PEM."""
        return self.path / "ca.crt"

    @property
    def certificate(self) -> Path:
        """The server's certificate, PEM."""
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        """The server's private key, PEM."""
        return self.path / "server.key"

    @property
    def secret(self) -> Path:
        """For ``--superexec-auth-secret-file``; raw bytes."""
        return self.path / "superexec.secret"

    @property
    def plan(self) -> Path:
        """The plan as sites have it."""
        return self.path / "plan.yaml"

    @property
    def project(self) -> Path:
        """The project's public key, OpenSSH's line."""
        return self.path / "project.pub"

    @property
    def roster(self) -> Path:
        """Sites and their keys."""
        return self.path / "roster.json"

    @property
    def nodes(self) -> Path:
        """Folder of public node keys."""
        return self.path / "nodes"

    @property
    def state(self) -> Path:
        """Folder for the state of the run."""
        return self.path / "state"

    @property
    def kits(self) -> Path:
        """Folder of kits to be handed over."""
        return self.path / "kits"

    @property
    def signing(self) -> Path:
        """Folder of the keys that only sign; may be elsewhere while the server runs."""
        return self.path / "project"

    @property
    def authority_key(self) -> Path:
        """Private key of the authority, PEM."""
        return self.signing / "ca.key"

    @property
    def project_key(self) -> Path:
        """Private key of the project, OpenSSH."""
        return self.signing / "project.key"


def read_server(path: Path) -> tuple[ServerFolder, ServerFile]:
    """The folder and its ``server.yaml``.

    Raises:
        IdentityError: no folder that `fedmce provision` made, or of another format.
    """
    folder = ServerFolder(Path(path))
    needed = "needed the folder that `fedmce provision --out` made"
    try:
        tree = read_yaml(folder.file.read_bytes())
        return folder, ServerFile.model_validate(tree)
    except OSError as error:
        raise IdentityError(
            f"{folder.file}: cannot be read ({error.strerror}); {needed}. give it with --dir, or provision first"
        ) from None
    except ValidationError as error:
        told = "; ".join(message for _, message in explain(error, tree, ServerFile))
    except (ValueError, yaml.YAMLError) as error:
        told = str(error)
    raise IdentityError(f"{folder.file}: {told}; {needed}. restore it from a copy")


def read_plan(folder: ServerFolder) -> RunConfig:
    """The plan of a server.

    Raises:
        ConfigError: ``plan.yaml`` is not readable or no configuration.
    """
    return config_from_yaml(folder.plan)


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
        own = read_private_pem(folder.key, "the server's key, which `fedmce provision` made")
        problems = certificate_problems(
            folder.certificate, file.names, now, authority=folder.authority, until=until
        ) + certificate_problems(folder.authority, now=now)
        if read_certificate(folder.certificate).public_key() != own.public_key():
            what = f"not the key of {folder.certificate.name}"
            problems.append(Problem("T03", str(folder.key), what, "Make a new pair with `fedmce server renew`."))
        if plan_digest(read_plan(folder)) != file.plan_digest:
            what = "changed since the sites got their kits; every site would refuse it"
            fix = "Restore it, or provision the changed plan and hand out new kits."
            problems.append(Problem("T20", str(folder.plan), what, fix))
    except FedMCEError as error:
        return [Problem("T04", "server folder", str(error).removesuffix("."), "")]
    if (app_digest() if app is None else app) != file.app_digest:
        what = f"made with fedmce {file.fedmce} and other code than is installed here; every site would refuse it"
        fix = "Install that version, or `fedmce server kit` every site anew."
        problems.append(Problem("T20", str(folder.file), what, fix))
    return problems + _exposed(folder) + _secret(folder)


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
