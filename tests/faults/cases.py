"""The cases of docs/faults.md against the collected tests: every number has a test, or a reason why it has none.

``python -m tests.faults.cases`` prints counts per group and every gap, and leaves with 1 if there is one;
``--write`` brings the column *where* of the document up to date; ``--files`` lists the test files that hold a case.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"
# A row that gets lost from the document would otherwise take its gap with it. N13b comes beside these.
LAST = {"U": 60, "C": 23, "S": 20, "N": 18, "T": 20, "D": 71, "K": 14, "R": 30, "P": 19, "F": 12, "L": 11}
NUMBER = re.compile(rf"(?<![A-Za-z0-9])([{''.join(LAST)}][0-9]{{2}}b?)(?![A-Za-z0-9])")
ROW = re.compile(rf"^\| ([{''.join(LAST)}][0-9]{{2}}b?) \|(.*)\|(.*)\|(.*)\|$")
DEFINED = re.compile(rf"def test_[A-Za-z0-9_]*?[{''.join(LAST)}][0-9]{{2}}")
HERE, PROCESSES, NOT = "in process", "real processes", "not automated"
# Beside the mark: tests that start servers or site workers of their own.
STARTING = ("tests/deployment/test_", "tests/faults/test_C_worker.py")
# By what they take: a suite on several cores begins with the longest.
LONG = (
    "tests/faults/test_S_process.py",
    "tests/faults/test_C_process.py",
    "tests/faults/test_N_network.py",
    "tests/faults/test_C_worker.py",
    "tests/deployment/test_demo.py",
    "tests/faults/test_F_process.py",
)


@dataclass(frozen=True)
class Case:
    """A row of the document.

    Attributes:
        number: ``U01``.
        where: where it runs as the document has it; with a reason if nowhere.
    """

    number: str
    where: str

    @property
    def reason(self) -> str:
        """Why there is no test; empty if there should be one."""
        return self.where.partition(":")[2].strip() if self.where.startswith(NOT) else ""


@dataclass(frozen=True)
class Collected:
    """A collected test.

    Attributes:
        name: pytest's id.
        starts: it starts real processes.
    """

    name: str
    starts: bool

    @property
    def numbers(self) -> frozenset[str]:
        """Of the cases that it is a test of, by its name and the names of its parameters."""
        return frozenset(NUMBER.findall(self.name.partition("::")[2].replace("_", " ")))


def cases(text: str) -> list[Case]:
    """Rows of all tables of the document, in its order."""
    return [Case(row[1], row[4].strip()) for line in text.splitlines() if (row := ROW.match(line))]


def places(tests: Iterable[Collected]) -> dict[str, str]:
    """Where each number runs."""
    found: dict[str, set[str]] = {}
    for test in tests:
        for number in test.numbers:
            found.setdefault(number, set()).add(PROCESSES if test.starts else HERE)
    return {number: ", ".join(sorted(where)) for number, where in found.items()}


def gaps(listed: Sequence[Case], tests: Sequence[Collected]) -> list[str]:
    """What does not fit, a sentence each; empty if everything does."""
    told, where = [case.number for case in listed], places(tests)
    found = [f"{number}: twice in {DOCUMENT.name}" for number in sorted({n for n in told if told.count(n) > 1})]
    due = [f"{group}{number:02d}" for group, last in LAST.items() for number in range(1, last + 1)]
    found += [f"{number}: not in {DOCUMENT.name}" for number in (*due, "N13b") if number not in told]
    for case in listed:
        tested = where.get(case.number, "")
        if case.where.startswith(NOT) and not case.reason:
            found.append(f"{case.number}: {NOT}, and no reason is given")
        elif case.reason and tested:
            found.append(f"{case.number}: there is a test, and the document says {case.where!r}")
        elif not case.reason and not tested:
            found.append(f"{case.number}: no test and no reason")
        elif tested and case.where != tested:
            found.append(f"{case.number}: runs {tested!r}, the document says {case.where!r}; run this with --write")
    for number in sorted(where.keys() - set(told)):
        name = next(test.name for test in tests if number in test.numbers)
        found.append(f"{number}: no such case, but {name}")
    return found


def written(text: str, tests: Iterable[Collected]) -> str:
    """The document with its column *where* as the tests have it; reasons stay where there is no test."""
    where, lines = places(tests), []
    for line in text.splitlines():
        row = ROW.match(line)
        if row and row[1] in where:
            line = f"| {row[1]} |{row[2]}|{row[3]}| {where[row[1]]} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def counts(listed: Iterable[Case], tests: Iterable[Collected]) -> dict[str, dict[str, int]]:
    """Per group: cases, those with a test by where it runs, those with a reason, tests."""
    where, tests = places(tests), list(tests)
    found = {}
    for group in LAST:
        mine = [case for case in listed if case.number.startswith(group)]
        ways = [where.get(case.number, "") for case in mine]
        found[group] = {
            "cases": len(mine),
            "with a test": sum(map(bool, ways)),
            HERE: sum(HERE in way for way in ways),
            PROCESSES: sum(PROCESSES in way for way in ways),
            NOT: sum(bool(case.reason) for case in mine),
            "tests": sum(any(number.startswith(group) for number in test.numbers) for test in tests),
        }
    return found


def files() -> list[Path]:
    """Test files that hold a case: all of tests/faults, and those elsewhere that name one; what takes longest first."""
    first = [ROOT / path for path in LONG]
    every = [*first, *sorted(set((ROOT / "tests").rglob("test_*.py")) - set(first))]
    return [path for path in every if path.parent == ROOT / "tests" / "faults" or DEFINED.search(path.read_text())]


class _Listing:
    def __init__(self) -> None:
        self.found: list[Collected] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.found.append(Collected(item.nodeid, starts_processes(item.nodeid)))


def starts_processes(nodeid: str) -> bool:
    """Whether a test starts servers, sites or site workers."""
    return nodeid.startswith(STARTING) or _is_marked(nodeid.partition("::")[0])


@cache
def _is_marked(file: str) -> bool:
    return "pytest.mark.processes" in (ROOT / file).read_text(encoding="utf-8")


def collect(paths: Sequence[Path]) -> list[Collected]:
    """What pytest collects; in a process of its own, since it imports all of it.

    Raises:
        RuntimeError: a file cannot be collected.
    """
    listing, said = _Listing(), io.StringIO()
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *map(str, paths)]
    with contextlib.redirect_stdout(said):
        code = pytest.main(options, plugins=[listing])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(said.getvalue())
    return listing.found


def table(numbers: Mapping[str, Mapping[str, int]]) -> Table:
    """Counts per group, and their sum."""
    columns = list(next(iter(numbers.values())))
    shown = Table("group", *columns, box=None, header_style="bold")
    for column in shown.columns[1:]:
        column.justify = "right"
    for group, row in numbers.items():
        shown.add_row(group, *(str(row[column]) for column in columns))
    shown.add_row("all", *(str(sum(row[column] for row in numbers.values())) for column in columns), style="bold")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; 1 if something does not fit."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cases", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="bring the column 'where' of docs/faults.md up to date")
    parser.add_argument("--files", action="store_true", help="list the test files that hold a case, and nothing else")
    told = parser.parse_args(arguments)
    if told.files:
        print(*(path.relative_to(ROOT) for path in files()), sep="\n")
        return 0
    tests, text = collect(files()), DOCUMENT.read_text(encoding="utf-8")
    if told.write:
        text = written(text, tests)
        DOCUMENT.write_text(text, encoding="utf-8")
    listed, console = cases(text), Console()
    console.print(table(counts(listed, tests)))
    found = gaps(listed, tests)
    for gap in found:
        console.print(gap, style="red", highlight=False, soft_wrap=True)
    console.print(f"gaps: {len(found)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
