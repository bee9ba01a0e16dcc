"""Presets of the user's own: ``method=./mine.yaml`` has the layout of the files in ``configs/method``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from fedmce.errors import ConfigError

PRESETS = ("method", "protocol")  # groups that set other sections and have none of their own
HEADER = "# @package _global_\n"


@dataclass(frozen=True)
class PresetFile:
    """A preset outside ``configs/``.

    Attributes:
        group: ``method`` or ``protocol``.
        path: as it was given.
        text: content, as Hydra reads it.
    """

    group: str
    path: str
    text: str

    @property
    def choice(self) -> str:
        """A name that no file in ``configs/`` has."""
        return f"user_{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    @property
    def label(self) -> str:
        """What the record calls it unless it names itself: the name of the file."""
        return re.sub(r"[^a-z0-9_]", "_", Path(self.path).stem.lower())

    def write(self, folder: Path) -> None:
        """Put it where Hydra finds it as a choice of its group."""
        place = folder / self.group / f"{self.choice}.yaml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(self.text, encoding="utf-8")


def names_file(group: str, choice: str) -> bool:
    """Whether a choice is a path and not a name."""
    return group in PRESETS and (choice.endswith((".yaml", ".yml")) or "/" in choice)


def read_preset(group: str, given: str) -> PresetFile:
    """Read a preset file; a path is taken from the working directory.

    Raises:
        ConfigError: the file cannot be read or holds no YAML mapping.
    """
    import yaml

    from fedmce.config.yaml_text import read_yaml

    path = Path(given).expanduser()
    needed = f"needed a YAML file as in configs/{group}"
    try:
        text = path.read_text(encoding="utf-8")
        tree = read_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{group}: {given} cannot be read ({error}); {needed}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{group}: {given} is not YAML ({' '.join(str(error).split())}); {needed}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{group}: {given} holds {type(tree).__name__}; {needed}")
    if outside := [entry for entry in _strings(tree.get("defaults")) if ".." in entry.split("/") or "://" in entry]:
        raise ConfigError(
            f"{group}: {given} includes {outside[0]!r} in its defaults; needed files of configs/. write the keys out"
        )
    # Without the header Hydra would put every key below the group's own.
    return PresetFile(group, given, text if HEADER.strip() in text else HEADER + text)


def _strings(tree: object) -> list[str]:
    """All texts of nested lists and mappings, keys included."""
    if isinstance(tree, dict):
        return [text for pair in tree.items() for part in pair for text in _strings(part)]
    if isinstance(tree, list):
        return [text for part in tree for text in _strings(part)]
    return [tree] if isinstance(tree, str) else []
