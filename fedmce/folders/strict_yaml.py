"""YAML read strictly: each key once, no tags, no bombs, and no value that two versions of YAML read differently.

PyYAML follows YAML 1.1, in which ``no`` is false, ``12:30`` is 750 and ``010`` is 8; YAML 1.2 (core schema, section
10.3) reads texts and 10 there. A scalar on which the two disagree is refused, since its author meant one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from fedmce.folders.yaml_core import STANDARD, clear, core, named, yaml_11

MOST_BYTES = 1 << 20
MOST_NODES = 10_000  # counted after aliases are followed
DEEPEST = 20


class YamlError(Exception):
    """The text is refused.

    Attributes:
        case: ``D03``, or ``D66`` where versions of YAML disagree.
        where: line and column, or what is counted.
        given: what is there.
        allowed: what may be there.
        fix: what to do.
        path: of the scalar or key, from the root; None where the text as a whole is refused.
    """

    def __init__(
        self, case: str, where: str, given: str, allowed: str, fix: str, path: tuple[str | int, ...] | None = None
    ) -> None:
        super().__init__(f"{where}: {given}")
        self.case, self.where, self.given, self.allowed, self.fix = case, where, given, allowed, fix
        self.path = path


@dataclass
class Parsed:
    """What a text holds.

    Attributes:
        tree: mappings, lists and scalars.
        lines: of each key or entry, by its path from the root; from 1.
        plain: paths of scalars that stand without quotes, as they are written.
        faults: scalars and keys that are refused; the tree holds the reading of YAML 1.2, or the first of equal keys.
    """

    tree: Any = None
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    plain: dict[tuple[str | int, ...], str] = field(default_factory=dict)
    faults: list[YamlError] = field(default_factory=list)


def parse(text: str) -> Parsed:
    """Read one YAML document.

    Args:
        text: at most :data:`MOST_BYTES` long, :data:`MOST_NODES` nodes, :data:`DEEPEST` levels.

    Raises:
        YamlError: the text as a whole cannot be read; faults of single scalars are in the answer.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise YamlError("D03", "size", f"{len(text):,} characters", f"{MOST_BYTES:,} bytes", "cut the file down")
    node = _composed(text)
    parsed = Parsed()
    if node is not None:
        parsed.tree = _Walk(parsed).value(node, ())
    return parsed


def _composed(text: str) -> Any:
    """The graph of nodes; the events are counted first, since composing nested ones takes a stack."""
    try:
        _count_events(text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "syntax"
        problem = (error.problem or error.context or "no YAML").replace("\\t", "a tab")
        raise YamlError("D03", where, problem, "one YAML document, indented by spaces", "correct that line") from None
    except yaml.YAMLError as error:
        raise YamlError(
            "D03", "syntax", " ".join(str(error).split()), "printable UTF-8 text", "write the file again"
        ) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # The scanner trips over some texts, such as an escape beyond the last character.
        raise YamlError("D03", "syntax", f"no YAML ({type(error).__name__})", "YAML", "write the file again") from None


def _count_events(text: str) -> None:
    nodes = depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if nodes > MOST_NODES or depth > DEEPEST:
            raise _bomb(event.start_mark.line + 1 if event.start_mark else 1)


def _bomb(line: int) -> YamlError:
    allowed = f"at most {MOST_NODES:,} values, {DEEPEST} levels deep, aliases followed"
    return YamlError("D03", f"line {line}", "more values or levels than a folder needs", allowed, "cut the file down")


class _Walk:
    """From nodes to values, aliases followed, each place once per way that leads to it."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._nodes = 0

    def value(self, node: Any, path: tuple[str | int, ...]) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > DEEPEST:  # an alias to a parent goes on for ever
            raise _bomb(node.start_mark.line + 1)
        self._parsed.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            if node.style is None:
                self._parsed.plain[path] = node.value
            return self._scalar(node, path)
        if node.tag not in (STANDARD + "map", STANDARD + "seq"):
            self._fault(path, "D03", node, f"tag {_short(node.tag)}", "no tags", "remove the tag")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, (*path, index)) for index, entry in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: tuple[str | int, ...]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in found:
                first = self._parsed.lines[(*path, key)]
                self._fault(
                    path, "D03", key_node, f"key {key!r} again, first in line {first}", "each key once", "remove one"
                )
                continue
            self._parsed.lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, (*path, key))
        return found

    def _key(self, node: Any, path: tuple[str | int, ...]) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(path, "D03", node, "a key that is no text", "texts as keys", "write the key as a text")
            return None
        if node.tag == STANDARD + "merge":
            self._fault(path, "D03", node, "merge key <<", "keys as YAML 1.2 has them", "write the keys out")
            return None
        value = self._scalar(node, path)
        if not isinstance(value, str):
            self._surprise((*path, node.value), node, f"{node.value}, read as {named(value)}", f'"{node.value}"')
        return value if isinstance(value, str) else node.value

    def _scalar(self, node: Any, path: tuple[str | int, ...]) -> Any:
        if node.style is not None:
            if node.tag != STANDARD + "str":
                self._fault(path, "D03", node, f"tag {_short(node.tag)}", "no tags", "remove the tag")
            return node.value
        loader: Any = yaml.SafeLoader("")
        implicit = loader.resolve(yaml.ScalarNode, node.value, (True, False))
        if node.tag not in (implicit, STANDARD + "str"):
            self._fault(path, "D03", node, f"tag {_short(node.tag)}", "no tags", "remove the tag")
            return node.value
        if node.tag != implicit:  # !!str 12
            return node.value
        value = core(node.value)
        old = yaml_11(node)
        if type(old) is not type(value) or (old != value and old == old):
            self._surprise(
                path,
                node,
                f"{node.value}, which YAML 1.1 reads as {named(old)} and YAML 1.2 as {named(value)}",
                clear(value, node.value),
            )
        return value

    def _surprise(self, path: tuple[str | int, ...], node: Any, given: str, clear: str) -> None:
        fix = f"quote the value: {clear}"
        if not clear.startswith('"'):
            fix = f'quote the value if a text is meant ("{node.value}"), else write {clear}'
        self._fault(path, "D66", node, given, "a value that every version of YAML reads alike", fix)

    def _fault(self, path: tuple[str | int, ...], case: str, node: Any, given: str, allowed: str, fix: str) -> None:
        mark = node.start_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}"
        self._parsed.faults.append(YamlError(case, where, given, allowed, fix, path))


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(STANDARD) if tag.startswith(STANDARD) else tag
