"""What runs of the fault suite left: pytest's XML files, with the numbers that tests noted (``record_property``)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Xml
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cases import Collected

FIGURE = re.compile(r"G[0-9]+")


@dataclass(frozen=True)
class Result:
    """A test that ran once.

    Attributes:
        name: as pytest writes it, file first.
        outcome: ``passed``, ``failed`` or ``skipped``.
        noted: numbers by the figure that they are of.
    """

    name: str
    outcome: str
    noted: Mapping[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> frozenset[str]:
        """Of the cases that it is a test of."""
        return Collected(self.name, False).numbers


def read_results(path: Path) -> list[Result]:
    """Results of one run, from ``pytest --junitxml``.

    Raises:
        ValueError: the file is no such XML.
    """
    try:
        root = Xml.parse(path).getroot()
    except (OSError, Xml.ParseError) as error:
        raise ValueError(f"{path}: {error}; needed the XML of `pytest --junitxml`") from None
    found = []
    for case in root.iter("testcase"):
        kinds = {part.tag for part in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        noted = {p.get("name", ""): float(p.get("value", "nan")) for p in case.iter("property") if _is_figure(p)}
        found.append(Result(f"{case.get('classname')}::{case.get('name')}", outcome, noted))
    return found


def _is_figure(part: Xml.Element) -> bool:
    return bool(FIGURE.fullmatch(part.get("name", "")))


def noted(runs: Iterable[Iterable[Result]], figure: str) -> list[float]:
    """Every number that a test noted for a figure."""
    return [result.noted[figure] for run in runs for result in run if figure in result.noted]


def of_cases(runs: Iterable[Iterable[Result]], *cases: str) -> list[Result]:
    """Every result of these cases that is not a skip."""
    return [r for run in runs for r in run if r.numbers & set(cases) and r.outcome != "skipped"]


def flaky(runs: Iterable[Iterable[Result]]) -> list[str]:
    """Tests that passed once and failed once."""
    outcomes: dict[str, set[str]] = {}
    for run in runs:
        for result in run:
            outcomes.setdefault(result.name, set()).add(result.outcome)
    return sorted(name for name, seen in outcomes.items() if {"passed", "failed"} <= seen)
