"""From the arguments of ``fedmce study`` to a checked study and its plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedmce._paths import config_root
from fedmce.cli.groups import groups
from fedmce.cli.overrides import Edit, read_override
from fedmce.config.explain import config_error
from fedmce.config.nearest import unknown
from fedmce.config.study import StudyConfig
from fedmce.config.study_load import narrowed, study_from_tree, study_tree
from fedmce.errors import ConfigError

SUFFIXES = (".yaml", ".yml")


def known_studies() -> list[str]:
    """Names of the studies that come along."""
    return sorted(file.stem for file in (config_root() / "study").glob("*.yaml"))


def read_arguments(arguments: Sequence[str]) -> tuple[StudyConfig, list[str]]:
    """The study and the overrides that go to all of its runs.

    Args:
        arguments: ``study=<name or path>``; keys of the study (``seeds=[0,1]``, ``methods=[a,b]`` and
            ``settings=[c]`` keep only these, ``tuning=null``); anything else is an override of all runs.

    Raises:
        ConfigError: no study or several, a file that is no study, a key that cannot be read.
    """
    named = [text.partition("=")[2] for text in arguments if text.partition("=")[0] == "study"]
    if len(named) != 1 or not named[0]:
        given = f"{len(named)} studies" if named else "no study"
        raise ConfigError(
            f"study: given {given}; needed study=NAME, one of {', '.join(known_studies())}, or study=FILE.yaml"
        )
    tree = study_tree(_path(named[0]))
    extra: list[str] = []
    problems: list[str] = []
    for text in arguments:
        if text.partition("=")[0] == "study":
            continue
        try:
            tree = _edited(tree, text, extra)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise config_error(problems, "study")
    return study_from_tree(tree, f"study {named[0]}"), extra


def _edited(tree: dict[str, Any], text: str, extra: list[str]) -> dict[str, Any]:
    """The tree after one argument; what is no key of the study goes to ``extra``."""
    key = text.partition("=")[0].strip().lstrip("+~").partition(".")[0]
    if key == "name":
        raise ConfigError(f"{text}: the name is in the study file; use --out for another folder")
    if key not in StudyConfig.model_fields:
        extra.append(text)
        return tree
    read = read_override(text, groups())
    assert isinstance(read, Edit)
    if len(read.path) == 1 and key in ("settings", "methods") and isinstance(read.value, list | str):
        names = [read.value] if isinstance(read.value, str) else read.value
        return narrowed(tree, key, [str(name) for name in names])
    tree = dict(tree)
    node: dict[str, Any] = tree
    for part in read.path[:-1]:
        inner = node.get(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{text}: {part} is no mapping in the study; needed a key of a mapping")
        node[part] = dict(inner)
        node = node[part]
    if read.is_removal:
        node.pop(read.path[-1], None)
    else:
        node[read.path[-1]] = read.value
    return tree


def _path(given: str) -> Path:
    if "/" in given or given.endswith(SUFFIXES):
        return Path(given).expanduser()
    if given not in known_studies():
        raise ConfigError(f"study: {unknown('study', given, [*known_studies(), 'FILE.yaml'])}")
    return config_root() / "study" / f"{given}.yaml"
