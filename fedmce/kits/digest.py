"""Digests that bind a site to a plan and to the code that the plan runs (reliability: P9, T20)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fedmce import __version__
from fedmce._paths import app_root
from fedmce.config.load import config_from_tree
from fedmce.config.schema import RunConfig

# What `[tool.flwr.app] fab-include` of pyproject.toml bundles; a test holds the two equal.
BUNDLED = (("server", "*.py"), ("client", "*.py"), ("configs", "*.yaml"))
ELSEWHERE = ("name", "out", "data_dir", "engine", "sites")  # where and by whom a plan is run, not what is run


def app_files(root: Path) -> list[Path]:
    """Files that Flower bundles from an app folder, relative to it, sorted.

    Flower takes no links and no files that it holds for tests.
    """
    found = (
        file.relative_to(root)
        for part, pattern in BUNDLED
        for file in (root / part).rglob(pattern)
        if file.is_file() and not file.is_symlink()
    )
    return sorted(path for path in found if not path.name.startswith("test_") and not path.name.endswith("_test.py"))


def app_digest(root: Path | None = None) -> str:
    """sha256 over the app's files and the version of fedmce, the same for checkout, wheel and unpacked bundle.

    Args:
        root: folder that holds ``server/``, ``client/`` and ``configs/``; default this installation's.

    Returns:
        64 hexadecimal digits; of ``fedmce VERSION`` and one ``sha256  path`` line per file.
    """
    root = app_root() if root is None else root
    lines = [f"fedmce {__version__}"]
    lines += [
        f"{hashlib.sha256((root / path).read_bytes()).hexdigest()}  {path.as_posix()}" for path in app_files(root)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def travelling(plan: RunConfig) -> RunConfig:
    """A plan as a site gets it: without the operator's folders and without the other sites' names.

    Raises:
        ConfigError: the plan cannot do without them, such as ``dataset=folders`` that names no modality.
    """
    tree = plan.model_dump(mode="json") | {"out": None, "data_dir": None, "sites": None}
    if tree["dataset"]["name"] == "folders":
        tree["dataset"]["path"] = None
    return config_from_tree(tree, "plan")


def plan_digest(plan: RunConfig) -> str:
    """sha256 of what a site agrees to: all of the plan but its name, places, engine and the list of sites.

    Unlike :meth:`RunConfig.fingerprint` it is the same before and after a server has written the sites that came
    into the configuration that travels.
    """
    tree: dict[str, Any] = plan.model_dump(mode="json", exclude=set(ELSEWHERE))
    if tree["dataset"]["name"] == "folders":
        tree["dataset"]["path"] = None
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
