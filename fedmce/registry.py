"""Registries: plain dicts from a name to what it means, filled when a package is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def registrar(table: dict[str, T], kind: str) -> Callable[[str], Callable[[T], T]]:
    """A decorator factory that enters what it decorates into ``table`` and refuses a second entry of one name.

    >>> RULES: dict[str, Callable[[int], int]] = {}
    >>> rule = registrar(RULES, "rule")
    >>> @rule("double")
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> RULES["double"](4)
    8
    """

    def named(name: str) -> Callable[[T], T]:
        def add(entry: T) -> T:
            if name in table:
                raise ValueError(f"{kind} {name!r} is registered twice")
            table[name] = entry
            return entry

        return add

    return named
