"""A row of the table of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reached", "missed", "in part", "not measured"]
NONE = "-"
HEAD = """# Figures of the fault suite

Written by `python -m benchmarks.faults --out docs/figures-faults.md`; nothing in the table is typed in. What takes seconds is
measured when the command runs, in CPU time where seconds are told. `--long` adds the soak and the larger samples.
Figures of real processes come from runs that were made before: `make faults ARGS="--junitxml runs/faults.xml"` (tests
note numbers with pytest's `record_property("G7", seconds)`), several of them for flakes, and `python -m
benchmarks.deployed_rounds --sites 8 --rounds 100 --json runs/deployed_rounds.json`. *In part*: the goal holds on fewer trials than it asks
for, or a test holds it to a limit without telling the number. Cases: [faults.md](faults.md).

"""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        number: ``G1``.
        what: what it is the figure of.
        goal: in words.
        reached: what was measured, in words; ``-`` if nothing was.
        how: how, or what to do to measure it.
        verdict: ``in part`` where the goal holds on fewer trials, or another machine, than it asks for.
    """

    number: str
    what: str
    goal: str
    reached: str
    how: str
    verdict: Verdict


def judged(holds: bool, *, whole: bool = True) -> Verdict:
    """A miss stays one however little was tried."""
    return "missed" if not holds else "reached" if whole else "in part"


def markdown(rows: Sequence[Row]) -> str:
    """The document of the figures."""
    lines = [HEAD.rstrip("\n"), ""] + [
        "| # | figure | goal | reached | measured how | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row.number, row.what, row.goal, row.reached, row.how, row.verdict)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
