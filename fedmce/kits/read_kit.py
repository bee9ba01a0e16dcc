"""The files of a kit, each with what is wrong with it; nothing of a file that was changed is used (T10, T11)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from fedmce import __version__
from fedmce.config.explain import explain
from fedmce.config.load import config_from_tree
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.kits.kit import AUTHORITY, KIT, PLAN, README, KitFile
from fedmce.kits.manifest import MANIFEST, Manifest, read_manifest
from fedmce.kits.problem import Problem
from fedmce.kits.project_key import as_fingerprint
from fedmce.kits.yaml_text import read_yaml

LARGEST = 1024 * 1024  # bytes of one file of a kit
AGAIN = "Ask the operator for the kit again, and unpack it without changing it."


def manifest_of(folder: Path, fingerprint: str | None) -> tuple[Manifest | None, list[Problem]]:
    """The manifest, if its signature fits; a fingerprint that was given must be its signer's."""
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


def files_of(folder: Path, manifest: Manifest) -> tuple[dict[str, bytes], list[Problem]]:
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
    for name in sorted({KIT, AUTHORITY, PLAN, README} - manifest.files.keys()):
        problems.append(Problem("T10", str(folder / name), "is not in the manifest; needed in every kit", AGAIN))
    return files, problems


def kit_of(folder: Path, files: Mapping[str, bytes], manifest: Manifest) -> tuple[KitFile | None, list[Problem]]:
    """``kit.yaml``, if this release can read it; it must name the signer of the manifest."""
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


def plan_of(folder: Path, files: Mapping[str, bytes]) -> tuple[RunConfig | None, list[Problem]]:
    """``plan.yaml``, if this release can read it."""
    if PLAN not in files:
        return None, []
    try:
        return config_from_tree(read_yaml(files[PLAN]), str(folder / PLAN)), []
    except (ConfigError, ValueError, yaml.YAMLError) as error:
        what = f"this version of fedmce ({__version__}) cannot read it: {error}"
        return None, [Problem("T20", str(folder / PLAN), what, "Install the version of fedmce that kit.yaml names.")]


def _content(path: Path) -> bytes | Problem:
    """A regular file of a kit; a link could lead to a file that others change after this check."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Problem("T10", str(path), f"cannot be read ({error.strerror}); needed a file of the kit", AGAIN)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return Problem("T10", str(path), "is no file of a kit: no regular one, or far too large", AGAIN)
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(LARGEST + 1)
    finally:
        os.close(opened)
