"""Overrides to a checked configuration: Hydra composes the groups, the schema judges the result."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedmce._paths import config_root
from fedmce.cli.groups import groups
from fedmce.cli.overrides import Choice, Edit, read_override
from fedmce.cli.preset_file import PresetFile, names_file, read_preset
from fedmce.config.describe import members
from fedmce.config.explain import Problem, config_error, explain
from fedmce.config.nearest import unknown
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError


def load_config(overrides: Sequence[str] = ()) -> RunConfig:
    """Compose the config groups, apply the overrides and check the result.

    Hydra sees only the choices of groups. Values are set here, so that a mapping replaces the default
    instead of merging with it, and so that one mistake does not hide the next.

    Args:
        overrides: such as ``dataset=sound_mnist`` or ``training.lr=0.01``; later ones win.

    Raises:
        ConfigError: every problem in one message: key, what was given, what is needed, nearest name.
    """
    root = config_root()
    choices, edits, messages = _sorted_out(overrides, groups(root))
    choices, presets, unread = _with_presets(choices)
    messages += unread
    doubtful = {group for group, choice in choices.items() if choice is None}
    chosen = (f"{group}={choice}" for group, choice in sorted(choices.items()) if choice is not None)
    tree = deepcopy(_composed(root, tuple(chosen), presets))
    for edit in edits:
        messages += apply_edit(edit, tree)
    try:
        config = RunConfig.model_validate(_resolved(tree))
    except ValidationError as error:
        messages += [text for path, text in explain(error, tree) if _is_certain((path, text), doubtful)]
    except ConfigError as error:
        messages.append(str(error))
    if messages:
        raise config_error(messages)
    return config


def _sorted_out(
    overrides: Sequence[str], known: dict[str, tuple[str, ...]]
) -> tuple[dict[str, str | None], list[Edit], list[str]]:
    """Choices by group (None: unknown), edits and messages."""
    choices: dict[str, str | None] = {}
    edits: list[Edit] = []
    messages: list[str] = []
    for text in overrides:
        try:
            read = read_override(text, known)
        except ConfigError as error:
            messages.append(str(error))
            continue
        if isinstance(read, Edit):
            edits.append(read)
            continue
        is_known = read.choice in known[read.group] or names_file(read.group, read.choice)
        choices[read.group] = read.choice if is_known else None
        if choices[read.group] is None:
            messages.append(_no_such(read, known[read.group]))
    return choices, edits, messages


def _with_presets(
    choices: dict[str, str | None],
) -> tuple[dict[str, str | None], tuple[PresetFile, ...], list[str]]:
    """Choices with files of the user under names that Hydra can take, the files, and messages of unreadable ones."""
    found, presets, messages = dict(choices), [], []
    for group, choice in choices.items():
        if choice is None or not names_file(group, choice):
            continue
        try:
            presets.append(read_preset(group, choice))
            found[group] = presets[-1].choice
        except ConfigError as error:
            found[group] = None
            messages.append(str(error))
    return found, tuple(presets), messages


def _no_such(read: Choice, known: Sequence[str]) -> str:
    hint = f". to set one value write {read.group}.key=value" if read.choice[:1] in "{[" else ""
    return f"{read.group}: {unknown('choice', read.choice, known)}{hint}"


@lru_cache(maxsize=64)
def _composed(root: Path, choices: tuple[str, ...], presets: tuple[PresetFile, ...]) -> dict[str, Any]:
    # Hydra takes a third of a second each time; the files do not change under a process.
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    with tempfile.TemporaryDirectory(prefix="fedmce-presets-") as name:
        beside = []
        for preset in presets:
            preset.write(Path(name))
            beside = [f"hydra.searchpath=['file://{Path(name).as_posix()}']"]
        try:
            with initialize_config_dir(str(root), version_base="1.3"):
                tree = OmegaConf.to_container(compose("config", overrides=[*choices, *beside]))
        except HydraException as error:
            places = " and ".join([str(root), *(preset.path for preset in presets)])
            raise ConfigError(
                f"configs: {str(error).splitlines()[0]}; needed files that compose. check {places}"
            ) from error
    assert isinstance(tree, dict)
    # A preset names itself, or is called as its file.
    return {preset.group: preset.label for preset in presets} | {str(key): value for key, value in tree.items()}


def apply_edit(edit: Edit, tree: dict[str, Any]) -> list[str]:
    """Set or remove one value in place; a mapping replaces what was there."""
    node: Any = tree
    *parents, last = edit.path
    for depth, part in enumerate(parents):
        node = node.setdefault(part, {}) if not edit.is_removal else node.get(part, {})
        if not isinstance(node, dict):
            where = ".".join(edit.path[: depth + 1])
            return [f"{'.'.join(edit.path)}: {where} is one value; needed a mapping to hold {edit.path[depth + 1]!r}"]
    if not edit.is_removal:
        node[last] = edit.value
    elif last in node:
        del node[last]
    else:
        return [f"~{'.'.join(edit.path)}: {unknown('key', last, node)}"]
    return []


def _resolved(tree: dict[str, Any]) -> Any:
    """``${key}`` and ``${oc.env:NAME}`` replaced, as everywhere in Hydra."""
    if "${" not in repr(tree):  # the rule; OmegaConf takes half of the time of a configuration
        return tree
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"configuration: {str(error).splitlines()[0]}; needed references ${{...}} that exist"
        ) from None


def _is_certain(problem: Problem, doubtful: set[str]) -> bool:
    """False for what may only follow from an unknown choice: keys of its section, and rules across keys."""
    path, _ = problem
    if not doubtful or not path:
        return not doubtful
    # All choices of a group that is no union have the same keys, so what is wrong there stays wrong.
    field = RunConfig.model_fields.get(path[0])
    return path[0] not in doubtful or field is None or not members(field.annotation)
