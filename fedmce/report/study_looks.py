"""Colour, marker and place of each method, the same in every figure of a study."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from fedmce.report.style import MARKERS, PALETTE, SOFT
from fedmce.study.results import Results

OTHER = "#b9bfc6"
"""Methods beyond those that have a colour of their own."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn; ``named`` False: grey, one legend entry for all such; ``banded``: with its interval."""

    colour: str
    marker: str
    line: str
    width: float
    named: bool = True
    banded: bool = False


def means(results: Results, metric: str | None = None) -> dict[tuple[str, str], float]:
    """(method, setting) -> mean score over seeds, where there is a run."""
    found = {}
    for method in results.study.methods:
        for setting in results.study.settings:
            values = results.by_seed(setting, method, metric or results.study.metric)
            if values:
                found[method, setting] = statistics.fmean(values.values())
    return found


def ordered(results: Results) -> list[str]:
    """The reference first, then competitors and bounds, each by their mean over the settings that they have."""
    table = means(results)
    study = results.study

    def place(name: str) -> tuple[bool, bool, float]:
        own = [value for (method, _), value in table.items() if method == name]
        return name != study.reference, study.methods[name].bound, -(statistics.fmean(own) if own else -1.0)

    return sorted(study.methods, key=place)


def looks(results: Results) -> dict[str, Look]:
    """A look per method, in the order of :func:`ordered`: the reference and the best others have colours."""
    found: dict[str, Look] = {}
    coloured, bounds = 0, 0
    for name in ordered(results):
        if results.study.methods[name].bound:
            found[name] = Look(SOFT, "", (":", "--", "-.")[bounds % 3], 1.1)
            bounds += 1
        elif coloured < len(PALETTE):
            width = 2.2 if name == results.study.reference else 1.4
            found[name] = Look(PALETTE[coloured], MARKERS[coloured], "-", width, banded=coloured < 3)
            coloured += 1
        else:
            found[name] = Look(OTHER, "", "-", 0.8, named=False)
    return found
