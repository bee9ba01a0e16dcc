"""The config groups and their choices, listed without Hydra."""

from __future__ import annotations

from pathlib import Path

from fedmce._paths import config_root

OTHER = ("study",)  # folders whose files are no parts of a run's configuration


def groups(root: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Choices per config group, both sorted: one folder is a group, one YAML file in it a choice."""
    folders = sorted(entry for entry in (root or config_root()).iterdir() if entry.is_dir() and entry.name not in OTHER)
    found = {folder.name: tuple(sorted(file.stem for file in folder.glob("*.yaml"))) for folder in folders}
    return {group: choices for group, choices in found.items() if choices}


def complete(incomplete: str) -> list[str]:
    """Completions of an override at the shell: groups with ``=``, then their choices."""
    offers = [f"{group}={choice}" for group, choices in groups().items() for choice in choices]
    if "=" not in incomplete:
        offers = [f"{group}=" for group in groups()]
    return [offer for offer in offers if offer.startswith(incomplete)]
