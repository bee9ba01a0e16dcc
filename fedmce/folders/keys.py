"""Pass Y, the keys of ``site.yaml``: unknown ones, types, ranges, and readings that were not meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from fedmce.config.describe import place
from fedmce.config.explain import shown
from fedmce.config.folders import TAKEN
from fedmce.config.nearest import nearest
from fedmce.folders.declared import as_classification, errors_of, is_regression
from fedmce.folders.findings import Findings
from fedmce.folders.layout import FORMAT, SITE_FILE, SiteFile
from fedmce.folders.strict_yaml import Parsed
from fedmce.folders.yaml_core import named

REGRESSION_KEYS = ("kind", "metric")
KeyPath = tuple[str | int, ...]


class Said(NamedTuple):
    """What a finding says of one key."""

    case: str
    given: str
    allowed: str
    fix: str


def check_keys(parsed: Parsed, findings: Findings) -> None:
    """Every key against the schema of ``site.yaml``; one whose reading is in doubt is reported as that alone.

    Args:
        parsed: its tree is a mapping.
        findings: collects.
    """
    tree = parsed.tree
    version = tree.get("format", FORMAT)
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        # What a newer format means by its other keys is not known here.
        fix = "upgrade fedmce, or export the folder in an older format"
        findings.error("D07", SITE_FILE, _where(parsed, ("format",)), str(version), f"1 to {FORMAT}", fix)
        return
    if is_regression(tree):
        _check_regression(parsed, findings)
        tree = as_classification(tree)
    doubtful = {fault.path for fault in parsed.faults if fault.path}
    for problem in _one_per_key(tree):
        path = tuple(part for part in problem["loc"] if part != "[key]")
        if not any(path[: len(doubt)] == doubt for doubt in doubtful):
            said = _said(parsed, tree, path, problem)
            findings.error(said.case, SITE_FILE, _where(parsed, path), said.given, said.allowed, said.fix)


def _one_per_key(tree: dict[str, Any]) -> list[Any]:
    """The first problem of each key; of a list its entries, and the list itself only if they are right."""
    found: dict[KeyPath, Any] = {}
    for problem in errors_of(tree):
        found.setdefault(problem["loc"], problem)
    return [p for loc, p in found.items() if not any(loc == other[: len(loc)] for other in found if other != loc)]


def _said(parsed: Parsed, tree: dict[str, Any], path: KeyPath, problem: Any) -> Said:
    value, kind = _at(tree, path), problem["type"]
    if kind == "extra_forbidden":
        known = _keys(place(path, tree, SiteFile).annotation)
        hit = nearest(str(path[-1]), known)
        return Said(
            "D04",
            f"unknown key {path[-1]!r}",
            ", ".join(known),
            f"did you mean {hit!r}?" if hit else "remove the key",
        )
    if path == ("modalities",) and value in (None, {}):
        return Said(
            "D10", "no modality", "at least one modality", "declare the columns of the table that are modalities"
        )
    if kind == "string_type" and path in parsed.plain:
        given = f"{parsed.plain[path] or 'nothing'}, which YAML reads as {named(value)}"
        return Said("D66", given, "text", f'quote the value: "{parsed.plain[path]}"')
    if path == ("site",) and kind == "string_pattern_mismatch":
        return Said("D06", shown(value), "1 to 40 of a-z, 0-9 and -", "rename the site")
    return _wrong(parsed, tree, path, problem)


def _wrong(parsed: Parsed, tree: dict[str, Any], path: KeyPath, problem: Any) -> Said:
    value, kind = _at(tree, path), problem["type"]
    allowed = place(path, tree, SiteFile).allowed
    if kind == "value_error":
        given, _, needed = problem["msg"].removeprefix("Value error, ").partition("; needed ")
        return Said("D05", given, needed or allowed, "correct the key")
    if "[key]" in problem["loc"]:
        allowed = f"1 to 40 letters, digits and _; none of {', '.join(TAKEN)}"
        return Said("D05", f"name {path[-1]!r}", allowed, "rename the modality and its column")
    if kind == "missing":
        return Said("D05", "nothing", allowed, "add the key")
    if kind == "too_short":
        return Said("D05", shown(value), f"{allowed}, at least {problem['ctx']['min_length']}", "add what is missing")
    if path == ("task", "kind"):
        allowed += ", regression"
    is_quoted = isinstance(value, str) and path in parsed.lines and path not in parsed.plain
    fix = "remove the quotes" if kind in ("int_type", "float_type", "bool_type") and is_quoted else "correct the value"
    return Said("D05", shown(value), allowed, fix)


def _check_regression(parsed: Parsed, findings: Findings) -> None:
    for key in parsed.tree["task"]:
        if key not in REGRESSION_KEYS:
            case, given = ("D05", "classes of a regression") if key == "classes" else ("D04", f"unknown key {key!r}")
            where = _where(parsed, ("task", key))
            findings.error(case, SITE_FILE, where, given, ", ".join(REGRESSION_KEYS), "remove the key")


def _where(parsed: Parsed, path: KeyPath) -> str:
    """Line and dotted path; of what is not there the line of the section that lacks it."""
    known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in parsed.lines)
    return f"line {parsed.lines[known]}, {'.'.join(map(str, path)) or 'whole file'}"


def _at(tree: object, path: KeyPath) -> object:
    for part in path:
        if isinstance(tree, Mapping):
            tree = tree.get(part)
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def _keys(annotation: Any) -> list[str]:
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
