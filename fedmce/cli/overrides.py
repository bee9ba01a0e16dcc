"""Overrides as typed, read one by one: a choice of a group, or an edit of a value."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.config.describe import allowed, members
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError

PATHS = ("data_dir", "out")


@dataclass(frozen=True)
class Choice:
    """``group=choice``: which YAML file of a group is taken."""

    group: str
    choice: str


@dataclass(frozen=True)
class Edit:
    """``key.key=value``, or ``~key.key`` to remove a key and fall back on the schema's default."""

    path: tuple[str, ...]
    value: Any = None
    is_removal: bool = False


def read_override(text: str, groups: Collection[str]) -> Choice | Edit:
    """Read one override in Hydra's grammar.

    ``+key=`` and ``++key=`` mean the same as ``key=``: whether a key exists is for the schema to say.

    Args:
        text: one command line argument.
        groups: names of the config groups.

    Raises:
        ConfigError: the text cannot be read.
    """
    head, equals, value = text.partition("=")
    key = head.strip().lstrip("+~")
    if "@" in head:
        raise ConfigError(f"{text}: packages (@) are not supported; needed key=value")
    if head.startswith("~") and not equals:
        return Edit(_path(key, text), is_removal=True)
    if not equals or not key:
        raise ConfigError(f"{text}: given no value; needed key=value, such as rounds=10")
    if key in _text_keys():
        return Edit((key,), _plain(key, value))
    group = key.removesuffix(".name")
    # dataset.name=x would leave the other keys of the former choice behind: it means the choice itself.
    if key in groups or (group in groups and members(RunConfig.model_fields[group].annotation)):
        return Choice(group, _unquoted(value))
    return Edit(_path(key, text), _parsed(text))


def _path(key: str, text: str) -> tuple[str, ...]:
    parts = tuple(key.split("."))
    if not all(parts):
        raise ConfigError(f"{text}: given an empty name in the key; needed names joined by single dots")
    return parts


def _text_keys() -> set[str]:
    """Root keys that are plain text: 2024 or a path with odd characters is taken as it is typed."""
    fields = RunConfig.model_fields.items()
    return {name for name, field in fields if allowed(field.annotation) in ("text", "text or null")} - {
        "method",
        "protocol",
    }


def _plain(key: str, value: str) -> str | None:
    text = _unquoted(value)
    if text == "null":
        return None
    if key not in PATHS:
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:  # ~name of nobody on this machine
        raise ConfigError(f"{key}: given {text!r}, the home of no user here; needed a path. write it out") from None


def _unquoted(value: str) -> str:
    text = value.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _parsed(text: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(text.lstrip("+~"))
    except HydraException:
        raise ConfigError(f"{text}: cannot be read; needed key=value. quote lists and mappings: 'key=[a,b]'") from None
    if override.is_sweep_override():
        raise ConfigError(f"{text}: several values given; needed one. write a list as 'key=[a,b]'")
    return _with_text_keys(override.value())


def _with_text_keys(value: Any) -> Any:
    """Keys of mappings as text: a site may be called 1."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(entry) for key, entry in value.items()}
    return [_with_text_keys(entry) for entry in value] if isinstance(value, list) else value
