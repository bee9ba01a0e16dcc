"""The list of cases and the tests hold the same numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.cases import DOCUMENT, LAST, Case, Collected, cases, counts, gaps, places, written

ALL = [f"{group}{number:02d}" for group, last in LAST.items() for number in range(1, last + 1)] + ["N13b"]
TESTS = [Collected(f"tests/x.py::test_{number}_a_law", number == "N01") for number in ALL]
LISTED = [Case(number, "real processes" if number == "N01" else "in process") for number in ALL]


@pytest.mark.timeout(900)
def test_every_case_has_a_test_or_a_reason(repository: Path) -> None:
    # Apart, since it collects test files that may be collected here already.
    command = [sys.executable, "-m", "tests.faults.cases"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gaps: 0\n" in done.stdout


def test_a_whole_list_has_no_gap() -> None:
    assert gaps(LISTED, TESTS) == []
    assert sum(row["cases"] for row in counts(LISTED, TESTS).values()) == len(ALL) == 299


@pytest.mark.parametrize("number", ["U01", "D71", "N13b"])
def test_a_number_without_a_test_needs_a_reason(number: str) -> None:
    without = [test for test in TESTS if number not in test.numbers]
    assert gaps(LISTED, without) == [f"{number}: no test and no reason"]
    listed = [case for case in LISTED if case.number != number]
    assert gaps([*listed, Case(number, "not automated: takes 8 hours")], without) == []
    assert gaps([*listed, Case(number, "not automated")], without) == [
        f"{number}: not automated, and no reason is given"
    ]
    assert "there is a test" in gaps([*listed, Case(number, "not automated: takes 8 hours")], TESTS)[0]


def test_numbers_that_are_lost_told_twice_or_unknown_are_gaps() -> None:
    assert gaps(LISTED[1:], TESTS) == ["U01: not in faults.md", "U01: no such case, but tests/x.py::test_U01_a_law"]
    assert gaps([LISTED[0], *LISTED], TESTS) == ["U01: twice in faults.md"]
    unknown = Collected("tests/x.py::test_C77_a_law", False)
    assert gaps(LISTED, [*TESTS, unknown]) == ["C77: no such case, but tests/x.py::test_C77_a_law"]


def test_names_of_parameters_count_and_parts_of_words_do_not() -> None:
    assert Collected("tests/U09.py::test_R01_to_R11_kills[R05-first]", False).numbers == {"R01", "R11", "R05"}
    assert Collected("tests/x.py::test_P05_C02_both", False).numbers == {"P05", "C02"}
    assert Collected("tests/x.py::test_utf8[aU01]", False).numbers == frozenset()


def test_where_a_case_runs_is_written_from_its_tests_and_reasons_stay() -> None:
    text = "| U01 | a | b | to come |\n| U02 | c | d | not automated: no such disk |\n"
    tests = [Collected("t::test_U01_x", False), Collected("t::test_U01_y", True)]
    assert places(tests) == {"U01": "in process, real processes"}
    told = written(text, tests)
    assert told == text.replace("to come", "in process, real processes")
    assert cases(told)[1].reason == "no such disk"


def test_the_document_is_read_as_it_is_written() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [case.number for case in cases(text)] == sorted(ALL, key=lambda n: ("UCSNTDKRPFL".index(n[0]), n[1:]))
    assert written(text, []) == text
