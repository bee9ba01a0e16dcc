"""One figure of a benchmark."""

from __future__ import annotations

from typing import TypedDict


class BenchRow(TypedDict):
    """Name, value, unit, goal (an upper limit) and whether it was reached."""

    name: str
    value: float
    unit: str
    goal: float
    ok: bool


def row(name: str, value: float, unit: str, goal: float) -> BenchRow:
    """A row whose goal is an upper limit."""
    return {"name": name, "value": round(value, 4), "unit": unit, "goal": goal, "ok": value <= goal}
