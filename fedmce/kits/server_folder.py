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
from pathlib import Path
from typing import Literal

import yaml
from pydantic import AwareDatetime, Field, ValidationError

from fedmce.config.explain import explain
from fedmce.config.load import config_from_yaml
from fedmce.config.schema import RunConfig
from fedmce.config.section import Section
from fedmce.errors import IdentityError
from fedmce.kits.address import Address, read_address
from fedmce.kits.kit import Fingerprint, Sha256
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
        told = " ".join(str(error).split())
    raise IdentityError(f"{folder.file}: {told}; {needed}. restore it from a copy")


def read_plan(folder: ServerFolder) -> RunConfig:
    """The plan of a server.

    Raises:
        ConfigError: ``plan.yaml`` is not readable or no configuration.
    """
    return config_from_yaml(folder.plan)
