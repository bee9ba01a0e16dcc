"""Whether a kit is whole, from the right project, in time, and for this site (T04, T08-T12, T20, D61)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import ValidationError

from fedmce import __version__
from fedmce.config.explain import explain
from fedmce.config.load import config_from_tree
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.kits.certificate import certificate_problems
from fedmce.kits.digest import app_digest, plan_digest
from fedmce.kits.keys import PRIVATE, node_key_problems, read_node_key
from fedmce.kits.kit import AUTHORITY, KIT, PLAN, README, KitFile
from fedmce.kits.manifest import MANIFEST, Manifest, read_manifest
from fedmce.kits.private_files import open_to_others
from fedmce.kits.problem import Problem, refuse
from fedmce.kits.project_key import as_fingerprint
from fedmce.kits.yaml_text import read_yaml

LARGEST = 1024 * 1024  # bytes of one file of a kit
AGAIN = "Ask the operator for the kit again, and unpack it without changing it."


@dataclass(frozen=True)
class Kit:
    """A kit that was checked.

    Attributes:
        folder: where it lies.
        file: content of ``kit.yaml``.
        plan: the plan that the site agrees to by joining.
        node_key: path of the private key that the site's node uses.
        is_pinned: the project's fingerprint was given by another channel and is the manifest's.
        warnings: what does not forbid to go on.
    """

    folder: Path
    file: KitFile
    plan: RunConfig
    node_key: Path
    is_pinned: bool
    warnings: tuple[Problem, ...] = ()

    @property
    def authority(self) -> Path:
        """Certificate of the authority that the site trusts."""
        return self.folder / AUTHORITY


def verify_kit(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> Kit:
    """Check a kit before anything is sent.

    Args:
        folder: the unpacked kit.
        fingerprint: of the project's key, told by another channel; None: any project's kit passes, and
            ``is_pinned`` is False.
        now: aware time; default the clock's.
        site: name in ``site.yaml``; the kit must be for it.
        node_key: the site's private key where it is not ``node.key`` in the kit.
        app: digest of the code at this site; default that of this installation.

    Raises:
        IdentityError: everything that is wrong, in one message.
    """
    kit, problems = examine_kit(folder, fingerprint, now, site=site, node_key=node_key, app=app)
    refuse(problems, f"kit {folder}")
    assert kit is not None
    return kit


def kit_problems(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> list[Problem]:
    """All findings of :func:`verify_kit`, warnings with them; empty if there is nothing to say."""
    return examine_kit(folder, fingerprint, now, site=site, node_key=node_key, app=app)[1]


def examine_kit(
    folder: Path,
    fingerprint: str | None = None,
    now: datetime | None = None,
    *,
    site: str | None = None,
    node_key: Path | None = None,
    app: str | None = None,
) -> tuple[Kit | None, list[Problem]]:
    """The kit, if manifest, ``kit.yaml`` and plan can be read, and all findings; arguments of :func:`verify_kit`."""
    folder, now = Path(folder), datetime.now(UTC) if now is None else now
    if not folder.is_dir():
        fix = f"Unpack it: tar xf {folder}" if folder.is_file() else "Give the folder that the kit was unpacked to."
        return None, [Problem("T10", str(folder), "is no folder; needed an unpacked kit", fix)]
    problems = []
    if exposed := open_to_others(folder):
        what = f"mode {exposed}, so others on this machine can enter the kit; needed 0700"
        problems.append(Problem("T08", str(folder), what, f"chmod 700 {folder}"))
    manifest, found = _manifest(folder, fingerprint)
    problems += found
    if manifest is None:
        return None, problems
    files, found = _files(folder, manifest)
    problems += found
    file, found = _kit_file(folder, files, manifest)
    problems += found
    plan, found = _plan(folder, files)
    problems += found
    if AUTHORITY in files:
        problems += certificate_problems(folder / AUTHORITY, now=now)
    if file is None:
        return None, problems
    problems += _agreement(file, plan, now, site, app_digest() if app is None else app)
    own = node_key or folder / PRIVATE
    # A key that was changed or removed is named already, and its content is nobody's key.
    if node_key is not None or PRIVATE in files or PRIVATE not in manifest.files:
        problems += _key(own, file)
    if plan is None:
        return None, problems
    warnings = tuple(problem for problem in problems if problem.is_warning)
    return Kit(folder, file, plan, own, is_pinned=fingerprint is not None, warnings=warnings), problems


def _manifest(folder: Path, fingerprint: str | None) -> tuple[Manifest | None, list[Problem]]:
    path = folder / MANIFEST
    content = _content(path)
    if isinstance(content, Problem):
        return None, [content]
    try:
        manifest = read_manifest(content)
    except ValueError as error:
        return None, [Problem("T10", str(path), f"changed since the project signed it: {error}", AGAIN)]
    if fingerprint is not None and (wanted := as_fingerprint(fingerprint)) != manifest.fingerprint:
        what = f"signed by {manifest.fingerprint}; the fingerprint given is {wanted}, so it is another project's kit"
        fix = "Compare the fingerprint with the operator once more, by telephone; if it stays, do not use this kit."
        return manifest, [Problem("T11", str(path), what, fix)]
    return manifest, []


def _files(folder: Path, manifest: Manifest) -> tuple[dict[str, bytes], list[Problem]]:
    """Content by name of the files that are as they were signed, and the others as problems."""
    files: dict[str, bytes] = {}
    problems = []
    for name, sha256 in manifest.files.items():
        content = _content(folder / name)
        if isinstance(content, Problem):
            problems.append(content)
        elif hashlib.sha256(content).hexdigest() != sha256:
            problems.append(Problem("T10", str(folder / name), "changed since the project signed it", AGAIN))
        else:
            files[name] = content
    for name in {KIT, AUTHORITY, PLAN, README} - manifest.files.keys():
        problems.append(Problem("T10", str(folder / name), "is not in the manifest; needed in every kit", AGAIN))
    return files, problems


def _content(path: Path) -> bytes | Problem:
    """A regular file of a kit; a link could lead to a file that others change after this check."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Problem("T10", str(path), f"cannot be read ({error.strerror}); needed a file of the kit", AGAIN)
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return Problem("T10", str(path), "is no file of a kit: no regular one, or far too large", AGAIN)
        return file.read(LARGEST + 1)


def _kit_file(folder: Path, files: Mapping[str, bytes], manifest: Manifest) -> tuple[KitFile | None, list[Problem]]:
    if KIT not in files:
        return None, []
    path = folder / KIT
    fix = f"Make the kit with this version of fedmce ({__version__}), or install the one that made it."
    tree: object = None
    try:
        tree = read_yaml(files[KIT])
        kit = KitFile.model_validate(tree)
    except (ValueError, yaml.YAMLError) as error:
        told = explain(error, tree, KitFile) if isinstance(error, ValidationError) else [((), str(error))]
        return None, [Problem("T10", str(path), "; ".join(text for _, text in told), fix)]
    if kit.project != manifest.fingerprint:
        what = f"names the project {kit.project}, and {manifest.fingerprint} signed the manifest"
        return kit, [Problem("T11", str(path), what, AGAIN)]
    return kit, []


def _plan(folder: Path, files: Mapping[str, bytes]) -> tuple[RunConfig | None, list[Problem]]:
    if PLAN not in files:
        return None, []
    try:
        return config_from_tree(read_yaml(files[PLAN]), str(folder / PLAN)), []
    except (ConfigError, ValueError, yaml.YAMLError) as error:
        what = f"this version of fedmce ({__version__}) cannot read it: {error}"
        return None, [Problem("T20", str(folder / PLAN), what, "Install the version of fedmce that kit.yaml names.")]


def _agreement(kit: KitFile, plan: RunConfig | None, now: datetime, site: str | None, app: str) -> list[Problem]:
    """Dates, digests and the name of the site."""
    where, problems = f"kit of {kit.site}", []
    if now >= kit.not_after:
        what = f"expired on {kit.not_after:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
        fix = f"Ask the operator for a new one (`fedmce server kit {kit.site}`); your node key stays as it is."
        problems.append(Problem("T12", where, what, fix))
    if plan is not None and plan_digest(plan) != kit.plan_digest:
        what = f"plan.yaml has digest {plan_digest(plan)[:12]}, kit.yaml was made for {kit.plan_digest[:12]}"
        fix = f"Install fedmce {kit.fedmce}, which made the kit; this is {__version__}."
        problems.append(Problem("T20", where, what, fix))
    if app != kit.app_digest:
        what = (
            f"the code of fedmce {__version__} here has digest {app[:12]}, the kit was made for {kit.app_digest[:12]}"
        )
        fix = f"Install fedmce {kit.fedmce} unchanged, or ask the operator for a kit made with this one."
        problems.append(Problem("T20", where, what, fix))
    if site is not None and site != kit.site:
        what = f"is for the site {kit.site}, and site.yaml is of {site}"
        problems.append(Problem("D61", where, what, f"Use the kit of {site}, or the folder of {kit.site}."))
    return problems


def _key(path: Path, kit: KitFile) -> list[Problem]:
    if problems := node_key_problems(path):
        return problems
    own = read_node_key(path).fingerprint
    if kit.node_key is not None and own != kit.node_key:
        what = f"is the key {own}, and the server knows {kit.site} by {kit.node_key}"
        fix = "Use the key that the operator registered, or send node.pub of this one to the operator."
        return [Problem("T06", str(path), what, fix)]
    return []
