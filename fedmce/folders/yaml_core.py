"""What scalars without quotes mean: the core schema of YAML 1.2, YAML 1.1 as PyYAML has it, and how to write both alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

STANDARD = "tag:yaml.org,2002:"
_CORE = (
    ("null", re.compile(r"(null|Null|NULL|~|)\Z"), lambda text: None),
    ("bool", re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    ("int", re.compile(r"[-+]?[0-9]+\Z"), int),
    ("int", re.compile(r"0o[0-7]+\Z"), lambda text: int(text[2:], 8)),
    ("int", re.compile(r"0x[0-9a-fA-F]+\Z"), lambda text: int(text, 16)),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"), float),
    ("float", re.compile(r"[-+]?\.(inf|Inf|INF)\Z"), lambda text: float(text.replace(".", ""))),
    ("float", re.compile(r"\.(nan|NaN|NAN)\Z"), lambda text: float("nan")),
)  # YAML 1.2 core schema, in its order: tag, texts, value


def core(text: str) -> Any:
    """What YAML 1.2 (core schema) reads in a scalar without quotes.

    >>> core("no"), core("1e3"), core("010"), core("0x10"), core("~")
    ('no', 1000.0, 10, 16, None)
    """
    if len(text) > 400:  # a number of so many digits is none that is meant
        return text
    read: Callable[[str], Any]
    for _, pattern, read in _CORE:
        if pattern.match(text):
            return read(text)
    return text


def dump(tree: object, one_line: bool = False) -> str:
    """A tree as YAML that every version reads alike: texts that YAML 1.2 takes for numbers are quoted too.

    >>> print(dump(["08", "benign", "no"], one_line=True), end="")
    ["08", benign, 'no']
    """
    flow, width = (True, 1 << 20) if one_line else (None, 120)
    text: str = yaml.dump(
        tree, Dumper=_Quoting, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width
    )
    return text


class _Quoting(yaml.SafeDumper):
    """PyYAML's own dumper quotes what YAML 1.1 would misread."""

    def text(self, text: str) -> yaml.ScalarNode:
        plain = isinstance(core(text), str)
        return self.represent_scalar(STANDARD + "str", text, style=None if plain else '"')


_Quoting.add_representer(str, _Quoting.text)


def yaml_11(node: Any) -> Any:
    """What YAML 1.1 reads in a scalar node; an object like no other where it cannot."""
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError, IndexError, KeyError):  # 2024-99-99 looks like a date
        return object()


def named(value: Any) -> str:
    """A scalar with its type, in words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {value!r}"
    return f"the number {value}" if isinstance(value, int | float) else "a date or no value"


def clear(value: Any, text: str) -> str:
    """How to write it so that both versions read the same."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), f'"{text}"')
