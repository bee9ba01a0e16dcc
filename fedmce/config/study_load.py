"""From a study file to a checked study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedmce.config.explain import config_error, explain
from fedmce.config.nearest import unknown
from fedmce.config.study import StudyConfig, disagreements
from fedmce.errors import ConfigError


def study_tree(path: Path) -> dict[str, Any]:
    """Read a study file as nested dicts.

    Raises:
        ConfigError: the file cannot be read or is not a YAML mapping.
    """
    import yaml

    from fedmce.config.yaml_text import read_yaml

    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); needed a study file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())}); needed a study file") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: given {type(tree).__name__}; needed a mapping with settings, methods and seeds")
    return tree


def study_from_tree(tree: object, source: str = "study") -> StudyConfig:
    """Check a study, its keys one by one and against each other.

    Raises:
        ConfigError: every problem in one message that starts with ``source``.
    """
    try:
        study = StudyConfig.model_validate(tree)
    except ValidationError as error:
        raise config_error([text for _, text in explain(error, tree, StudyConfig)], source) from None
    if problems := disagreements(study):
        raise config_error(problems, source)
    return study


def narrowed(tree: dict[str, Any], key: str, names: Sequence[str]) -> dict[str, Any]:
    """Keep only the named settings or methods, and what still speaks of them.

    Args:
        tree: a study as nested dicts.
        key: ``settings`` or ``methods``.
        names: what to keep, in this order.

    Raises:
        ConfigError: a name that the study does not have.
    """
    known = tree.get(key)
    if not isinstance(known, dict):
        return tree  # the schema says what is wrong
    if wrong := [name for name in names if name not in known]:
        raise config_error([f"{key}: {unknown(key.removesuffix('s'), str(name), known)}" for name in wrong], "study")
    found = tree | {key: {name: known[name] for name in names}}
    if key == "settings":
        return found | {"bars": [bar for bar in tree.get("bars", []) if _matches(bar, names)]}

    def stays(pair: Any) -> bool:
        return all(name in names or name == "best" for name in pair)

    found["contrasts"] = [pair for pair in tree.get("contrasts", []) if stays(pair)]
    found["bars"] = [bar for bar in tree.get("bars", []) if stays(bar.get("pair", []))]
    if tree.get("reference") not in names:
        found["reference"] = next(iter(names), "")
    return found


def _matches(bar: dict[str, Any], settings: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, str(bar.get("settings", "*"))) for name in settings)
