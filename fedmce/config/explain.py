"""Problems of a configuration as messages for its author: key, what was given, what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fedmce.config.describe import entry_of, members, place, section_of
from fedmce.config.nearest import nearest
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError

Problem = tuple[tuple[str, ...], str]
"""Path of the key (empty: several keys disagree) and the whole message."""


def explain(error: ValidationError, tree: object, root: type[BaseModel] = RunConfig) -> list[Problem]:
    """One problem per key, in the order of the schema; a union's failed branches become one message.

    Args:
        error: what pydantic says about ``tree``.
        tree: the configuration as given, nested dicts.
        root: the schema that it was checked against.
    """
    problems: dict[tuple[str, ...], str] = {}
    for detail in error.errors(include_url=False):
        keys, message = _explain_one(detail, tree, root)
        problems.setdefault(keys, message)
    return list(problems.items())


def config_error(messages: Sequence[str], source: str = "configuration") -> ConfigError:
    """All messages as one error: alone on its line, or counted and listed."""
    if len(messages) == 1:
        return ConfigError(messages[0])
    return ConfigError(f"{source}: {len(messages)} problems" + "".join(f"\n  - {m}" for m in messages))


def shown(value: object) -> str:
    """A value as its author wrote it, at most about 80 characters."""
    text = (
        {None: "null", True: "true", False: "false"}.get(value, "") if value is None or isinstance(value, bool) else ""
    )
    text = text or repr(value)
    return text if len(text) <= 80 else text[:76] + " ..."


def _explain_one(detail: ErrorDetails, tree: object, root: type[BaseModel]) -> Problem:
    path, value = _follow(detail, tree)
    where = ".".join(map(str, path))
    match detail["type"]:
        case "extra_forbidden":
            return tuple(map(str, path)), f"{where}: {_unknown_key(path, tree, root)}"
        case "missing" if len(place(path, tree, root).keys) == len(path):
            return tuple(map(str, path)), f"{where}: nothing given; needed {place(path, tree, root).allowed}"
        case "value_error":
            reason = str(detail["msg"]).removeprefix("Value error, ")
            # A rule of a section names its own keys; "missingness." and "rates.audio: ..." make one path.
            return tuple(map(str, path)), f"{where}.{reason}" if where else reason
        case "union_tag_invalid" | "union_tag_not_found":
            names = ", ".join(members(place(path, tree, root).annotation))
            given = shown(value.get("name")) if isinstance(value, dict) else shown(value)
            return (*map(str, path), "name"), f"{where}.name: given {given}; needed one of {names}"
    spot = place(path, tree, root)
    where = ".".join(spot.keys) or "configuration"
    given = shown(_value_at(spot.keys, tree))
    return spot.keys, f"{where}: given {given}; needed {spot.allowed}{_guess(spot.annotation, value)}"


def _follow(detail: ErrorDetails, tree: object) -> tuple[list[str | int], Any]:
    """The part of pydantic's location that exists in ``tree``: it also names branches of unions."""
    path: list[str | int] = []
    node: Any = tree
    for index, part in enumerate(detail["loc"]):
        if _holds(node, part):
            node = node[part]
        elif not (detail["type"] == "missing" and index == len(detail["loc"]) - 1):
            continue
        path.append(part)
    return path, node


def _holds(node: object, part: str | int) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)


def _value_at(keys: Sequence[str], tree: object) -> object:
    node = tree
    for key in keys:
        node = entry_of(node, key)
    return node


def _unknown_key(path: list[str | int], tree: object, root: type[BaseModel]) -> str:
    *parents, key = path
    spot = place(parents, tree, root)
    node = _value_at(spot.keys, tree)
    section = section_of(spot.annotation, node)
    prefix = "".join(f"{parent}." for parent in parents)
    known = [prefix + name for name in section.model_fields] if section else []
    union = members(spot.annotation)
    chosen = f" of {spot.keys[-1]}={node['name']}" if union and isinstance(node, dict) else ""
    hit = nearest(prefix + str(key), known) if nearest(str(key), section.model_fields if section else ()) else None
    elsewhere = [name for name, member in union.items() if key in member.model_fields]
    remedy = f". did you mean {hit!r}?" if hit else ""
    if elsewhere:
        remedy = f". it belongs to {' and '.join(f'{spot.keys[-1]}={name}' for name in elsewhere)}"
    return f"unknown key{chosen}; known are {', '.join(name.removeprefix(prefix) for name in known)}{remedy}"


def _guess(annotation: Any, value: object) -> str:
    choices = [str(option) for option in getattr(annotation, "__args__", ()) if isinstance(option, str)]
    hit = nearest(value, choices) if isinstance(value, str) else None
    return f". did you mean {hit!r}?" if hit else ""
