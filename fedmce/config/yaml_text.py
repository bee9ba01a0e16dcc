"""YAML of a user: no small file that becomes a large one, no depth that ends the program (K13)."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 1 << 20  # characters
MOST_VALUES = 100_000  # aliases followed
DEEPEST = 50


def read_yaml(text: str) -> object:
    """Values of a YAML document; aliases are allowed while what they stand for stays small.

    Raises:
        yaml.YAMLError: no YAML, or too large, too deep or endless.
    """
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"{len(text):,} characters; needed at most {LARGEST:,}")
    try:
        _check_depth(text)
        _count(yaml.compose(text, Loader=yaml.SafeLoader), {})
        return yaml.safe_load(text)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Such as a date with a thirteenth month, or an escape beyond the last character.
        raise yaml.YAMLError(f"a value that cannot be read ({error})") from None


def _check_depth(text: str) -> None:
    """Events come one after the other, while composing nested ones takes a stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels")


def _count(node: Any, known: dict[int, int | None]) -> int:
    """Values below a node as if every alias were written out; a node is looked at once."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in known:
        if (count := known[id(node)]) is None:
            raise yaml.YAMLError("an alias to what it stands in")
        return count
    known[id(node)] = None
    parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
    count = 1 + sum(_count(part, known) for part in parts)
    if count > MOST_VALUES:
        raise yaml.YAMLError(f"aliases that stand for more than {MOST_VALUES:,} values")
    known[id(node)] = count
    return count
