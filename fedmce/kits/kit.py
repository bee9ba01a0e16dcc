"""The kit of a site: one folder (0700) and one tar with what the site needs to join, signed by the project."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, Field, StringConstraints

from fedmce.config.folders import SiteName
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.schema import RunConfig
from fedmce.config.section import Section
from fedmce.kits.address import Address, read_address
from fedmce.kits.keys import PRIVATE
from fedmce.kits.manifest import MANIFEST, sign_manifest
from fedmce.kits.private_files import FILE_MODE, FOLDER_MODE, make_private_folder, sync_folder, write_private
from fedmce.kits.readme import Key, readme

KIT, AUTHORITY, PLAN, README = "kit.yaml", "ca.crt", "plan.yaml", "README"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]


class KitFile(Section):
    """``kit.yaml``."""

    format: Literal[1] = 1
    site: SiteName = Field(description="whom it is for; site.yaml must say the same")
    server: str = Field(description="HOST:PORT at which the site reaches the server")
    project: Fingerprint = Field(description="of the key that signed the manifest")
    plan_digest: Sha256 = Field(description="of plan.yaml; stands in every message of the run")
    app_digest: Sha256 = Field(description="of the code that the plan runs, with the version of fedmce")
    fedmce: str = Field(description="version that made the kit, and that the site needs")
    made: AwareDatetime
    not_after: AwareDatetime = Field(description="the kit is refused from then on")
    key: Literal["kit", "site"] = Field(description="who made the node key; site: node.key is not in the kit")
    node_key: Fingerprint | None = Field(None, description="of the node key that the server knows for this site")
    max_rows: int | None = Field(None, ge=1, description="more rows of the site never count")
    floors: PrivacyConfig = Field(description="proposed by the plan; the site's own are kept where they are stricter")

    @property
    def address(self) -> Address:
        """Where the site reaches the server."""
        return read_address(self.server)


@dataclass(frozen=True)
class KitParts:
    """What a kit is made of.

    Attributes:
        file: content of ``kit.yaml``.
        authority: certificate of the project's authority, PEM.
        plan: content of ``plan.yaml``.
        node_key: private node key, if it was made for the kit; not shown.
    """

    file: KitFile
    authority: bytes
    plan: bytes
    node_key: bytes | None = field(default=None, repr=False)

    def contents(self, key: Ed25519PrivateKey) -> dict[str, bytes]:
        """Every file of the kit by name, the signed manifest with them."""
        tree = self.file.model_dump(mode="json")
        files = {
            KIT: yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(),
            AUTHORITY: self.authority,
            PLAN: self.plan,
            README: readme(self.file.site, self.file.server, self._key()).encode(),
        }
        if self.node_key is not None:
            files[PRIVATE] = self.node_key
        return files | {MANIFEST: sign_manifest(files, key)}

    def _key(self) -> Key:
        if self.node_key is not None:
            return "kit"
        return "make" if self.file.node_key is None else "keep"


def plan_file(plan: RunConfig) -> bytes:
    """``plan.yaml``: the resolved configuration, in the order of the schema."""
    tree = plan.model_dump(mode="json")
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=False).encode()


def write_kit(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a kit as a new folder (0700, files 0600) and, beside it, as ``FOLDER.tar`` (0600).

    Args:
        folder: named as the site; nothing may be there.
        files: of :meth:`KitParts.contents`.

    Returns:
        The tar; of both, nothing is left if one cannot be written.
    """
    tar = folder.with_name(f"{folder.name}.tar")
    make_private_folder(folder)
    try:
        for name, content in files.items():
            write_private(folder / name, content)
        sync_folder(folder)
        return write_private(tar, packed(folder.name, files))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def packed(top: str, files: Mapping[str, bytes]) -> bytes:
    """The files as a tar under one folder, with the modes of the folder and no name of the user who packs."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo(top)
        folder.type, folder.mode = tarfile.DIRTYPE, FOLDER_MODE
        tar.addfile(folder)
        for name in sorted(files):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.mode, entry.size = FILE_MODE, len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return stream.getvalue()
