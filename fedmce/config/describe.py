"""What a place of the configuration accepts, in words, read from the schema's own types."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from fedmce.config.schema import RunConfig


@dataclass(frozen=True)
class Place:
    """One key of the configuration.

    Attributes:
        keys: path from the root; ends where sections, mappings and lists of sections end, so a bad entry of
            another list is reported at the list.
        annotation: type that the schema gives it.
        metadata: bounds and patterns beside the type.
    """

    keys: tuple[str, ...]
    annotation: Any
    metadata: tuple[Any, ...]

    @property
    def allowed(self) -> str:
        """What is accepted here, in words."""
        return allowed(self.annotation, self.metadata)


def place(path: Sequence[str | int], tree: object, root: type[BaseModel] = RunConfig) -> Place:
    """Follow ``path`` through the schema ``root``, choosing the member of a union as ``tree`` does by its ``name``."""
    keys: list[str] = []
    annotation: Any = root
    metadata: tuple[Any, ...] = ()
    node = tree
    for part in path:
        annotation, metadata = _unwrap(annotation, metadata)
        section = section_of(annotation, node)
        if section is not None and part in section.model_fields:
            field = section.model_fields[str(part)]
            annotation, metadata = field.annotation, tuple(field.metadata)
        elif get_origin(annotation) is dict:
            annotation, metadata = get_args(annotation)[1], ()
        elif get_origin(annotation) is tuple and section_of(get_args(annotation)[0], None) is not None:
            annotation, metadata = get_args(annotation)[0], ()
        else:
            break
        keys.append(str(part))
        node = entry_of(node, part)
    return Place(tuple(keys), annotation, metadata)


def entry_of(node: object, part: str | int) -> object:
    """What a mapping has under a key or a list in a place; None if nothing."""
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, list | tuple) and str(part).isdigit() and int(part) < len(node):
        return node[int(part)]
    return None


def section_of(annotation: Any, node: object) -> type[BaseModel] | None:
    """The section class at this place, or None if it is no section or its ``name`` is unknown."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if len(sections := _sections(annotation)) == 1:  # a section or null
        return sections[0]
    name = node.get("name") if isinstance(node, dict) else None
    return members(annotation).get(str(name))


def members(annotation: Any) -> dict[str, type[BaseModel]]:
    """Section classes of a union by their ``name``; empty if the annotation is no union of sections."""
    annotation, _ = _unwrap(annotation, ())
    return {part.model_fields["name"].default: part for part in _sections(annotation) if "name" in part.model_fields}


def _sections(annotation: Any) -> list[type[BaseModel]]:
    return [part for part in get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]


def allowed(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type and its bounds in words.

    >>> allowed(int), allowed(Literal["a", "b"]), allowed(float | None)
    ('a whole number', 'one of a, b', 'a number or null')
    """
    annotation, metadata = _unwrap(annotation, tuple(metadata))
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin in (Union, types.UnionType):
        if names := members(annotation):
            return f"a section with a name, one of {', '.join(names)}"
        return " or ".join(allowed(part, metadata if part is not type(None) else ()) for part in args)
    if origin is dict:
        return f"a mapping {{name: value}}, each value {allowed(args[1])}"
    if origin is tuple:
        return _list(args)
    return _scalar(annotation, metadata)


def _list(args: tuple[Any, ...]) -> str:
    entry = allowed(args[0])
    return f"a list, each {entry}" if args[-1] is Ellipsis else f"a list of {len(args)}, each {entry}"


def _scalar(annotation: Any, metadata: tuple[Any, ...]) -> str:
    if annotation is type(None):
        return "null"
    if annotation is bool:
        return "true or false"
    if annotation is str:
        pattern = next((found for item in metadata if (found := getattr(item, "pattern", None))), None)
        return f"text that matches {str(pattern).removeprefix('^').removesuffix('$')}" if pattern else "text"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _bounds(metadata)
    return "a section of keys"


def _bounds(metadata: tuple[Any, ...]) -> str:
    bound = {
        sign: value
        for item in metadata
        for sign in ("ge", "gt", "le", "lt")
        if (value := getattr(item, sign, None)) is not None
    }
    if {"ge", "le"} <= bound.keys():
        return f" from {bound['ge']} to {bound['le']}"
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
    return " " + " and ".join(f"{words[sign]} {value}" for sign, value in bound.items()) if bound else ""


def _unwrap(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is not Annotated:
        return annotation, metadata
    inner, *extra = get_args(annotation)
    for item in extra:
        metadata += tuple(getattr(item, "metadata", (item,)))
    return inner, metadata
