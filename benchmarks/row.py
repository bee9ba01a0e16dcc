"""One figure of a benchmark and the goal that it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict


class BenchRow(TypedDict):
    """A figure as ``runs/bench.json`` holds it; ``ok`` says whether the goal was reached, from its right side."""

    name: str
    value: float
    unit: str
    goal: float
    ok: bool


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        name: what it is the figure of.
        value: the figure.
        unit: its unit.
        goal: the limit.
        at_least: the goal is a lower limit; else an upper one.
    """

    name: str
    value: float
    unit: str
    goal: float
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """The goal is reached; a figure that is not a number reaches none."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def row(self) -> BenchRow:
        """The form of ``runs/bench.json``."""
        return {"name": self.name, "value": round(self.value, 4), "unit": self.unit, "goal": self.goal, "ok": self.ok}


def table(figures: Sequence[Figure]) -> str:
    """Figures, one a line, under each other."""
    width = max((len(figure.name) for figure in figures), default=0)
    return "\n".join(
        f"{f.name:<{width}}  {f.value:>9.3f} {f.unit:<6}  goal {'>=' if f.at_least else '<='} {f.goal:g}"
        f"  {'ok' if f.ok else 'MISSED'}"
        for f in figures
    )
