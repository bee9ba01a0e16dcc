"""From nested dicts, JSON or YAML to a checked configuration."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from fedmce.config.explain import config_error, explain
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError


def config_from_tree(tree: object, source: str = "configuration") -> RunConfig:
    """Check nested dicts.

    Raises:
        ConfigError: every problem in one message that starts with ``source``.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise config_error([message for _, message in explain(error, tree)], source) from None


def config_from_json(text: str) -> RunConfig:
    """Read what :meth:`RunConfig.to_json` wrote.

    Raises:
        ConfigError: ``text`` is not JSON, or not a valid configuration.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"configuration: text is not JSON ({error}); needed one object") from None
    return config_from_tree(tree)


def config_from_yaml(path: Path) -> RunConfig:
    """Read a resolved configuration, such as ``config.yaml`` of a run.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or not a valid configuration.
    """
    import yaml

    from fedmce.config.yaml_text import read_yaml

    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); needed the config.yaml of a run") from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path}: not YAML ({' '.join(str(error).split())}); needed the config.yaml of a run"
        ) from None
    return config_from_tree(tree, str(path))
