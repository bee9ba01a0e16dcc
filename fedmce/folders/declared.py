"""What a ``site.yaml`` declares, also one with faults: later passes go on with the parts that are right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from fedmce.folders.layout import FolderModality, FolderTask, SiteFile
from fedmce.folders.release import Release

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class Declared:
    """The parts of a ``site.yaml`` that passes after it need.

    Attributes:
        site: name, None if it is wrong.
        kind: of the task, None if it is wrong.
        classes: names in order; None if they are wrong or the task is a regression.
        metric: of a classification.
        modalities: those whose section is right.
        names: all that the file names, also those whose section is wrong.
        release: the site's floors.
        allow_links: links may lead out of the folder.
        shared_rows: two samples may share a row of features.
        private: others on the machine should not read it.
    """

    site: str | None = None
    kind: Literal["classification", "regression"] | None = None
    classes: tuple[str, ...] | None = None
    metric: str | None = None
    modalities: Mapping[str, FolderModality] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    release: Release = field(default_factory=lambda: Release.model_validate({}))
    allow_links: bool = False
    shared_rows: bool = False
    private: bool = True


def is_regression(tree: object) -> bool:
    """Whether the task is a regression, which the checker knows and no model trains yet."""
    task = tree.get("task") if isinstance(tree, dict) else None
    return isinstance(task, dict) and task.get("kind") == "regression"


def declared(tree: object) -> Declared:
    """The parts of a tree that are right on their own."""
    if not isinstance(tree, dict):
        return Declared()
    sections = tree.get("modalities")
    sections = sections if isinstance(sections, dict) else {}
    task = _section(FolderTask, tree.get("task"))
    regression = is_regression(tree)
    name = tree.get("site")
    return Declared(
        site=name if isinstance(name, str) else None,
        kind="regression" if regression else "classification" if task else None,
        classes=None if regression or task is None else task.classes,
        metric=task.metric if task else None,
        modalities={str(n): right for n, s in sections.items() if (right := _section(FolderModality, s))},
        names=tuple(map(str, sections)),
        release=_section(Release, tree.get("release", {})) or Release.model_validate({}),
        allow_links=tree.get("allow_links") is True,
        shared_rows=tree.get("shared_rows") is True,
        private=tree.get("private") is not False,
    )


def as_classification(tree: dict[str, Any]) -> dict[str, Any]:
    """The same tree with a classification in place of its regression, so that one schema checks the rest."""
    return {**tree, "task": {"kind": "classification", "classes": ["0", "1"]}}


def errors_of(tree: dict[str, Any]) -> list[Any]:
    """What pydantic says of a tree, in the order of its keys."""
    try:
        SiteFile.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        return list(error.errors(include_url=False, include_input=False))
    return []


def _section(kind: type[S], tree: object) -> S | None:
    try:
        return kind.model_validate_json(json.dumps(tree, default=str))
    except ValidationError:
        return None
