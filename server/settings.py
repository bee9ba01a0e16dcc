"""From Flower's flat run configuration to a checked configuration and a run folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from fedmce.config import config_from_yaml
from fedmce.config.schema import RunConfig


@dataclass(frozen=True)
class Settings:
    """What to run and where; ``prepared`` if the command line has made the folder and will draw the report."""

    config: RunConfig
    folder: Path
    prepared: bool


def run_settings(run_config: dict[str, Any]) -> Settings:
    """Read ``config-path``, ``overrides`` and ``out``.

    With ``config-path`` (how ``fedmce run`` starts an engine) the folder is ready. Without it, as in
    ``flwr run .``, the overrides are composed with the defaults and a folder is made.
    """
    if run_config.get("config-path"):
        path = Path(str(run_config["config-path"]))
        return Settings(config_from_yaml(path), Path(str(run_config["out"] or path.parent)), True)
    from fedmce.cli.compose import load_config

    # Flower is the engine here, whatever the configuration would have started.
    config = load_config([*shlex.split(str(run_config.get("overrides", ""))), "engine=flower"])
    given = str(run_config.get("out", "")) or config.out
    folder = Path(given) if given else Path("runs") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.name}"
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder)
    return Settings(config, folder, False)


def write_config(config: RunConfig, folder: Path) -> Path:
    """Write the resolved configuration, ``config.yaml``."""
    path = folder / "config.yaml"
    path.write_text(
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    return path
