"""Figures of runs between real processes, of long runs and of the tests on folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.results import Result, flaky, noted, of_cases, read_results
from benchmarks.faults.row import NONE, Row, judged

SUITE = "make faults ARGS='--junitxml runs/faults.xml'"
Runs = Sequence[Sequence[Result]]


def folders(long: bool) -> list[Row]:
    """G12, G13: the tests of group D, each of which compares every byte of its folder before and after."""
    with tempfile.TemporaryDirectory() as made:
        xml = Path(made) / "d.xml"
        marks = [] if long else ["-m", "not slow"]
        tests = sorted(map(str, Path("tests/faults").glob("test_D_*.py")))
        command = [sys.executable, "-m", "pytest", "-q", *marks, f"--junitxml={xml}", "-p", "no:cacheprovider", *tests]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, capture_output=True, timeout=3600, check=False, env=environment)
        found = read_results(xml)
    due = [f"D{number:02d}" for number in range(1, 67)]
    right = [case for case in due if (mine := of_cases([found], case)) and all(r.outcome == "passed" for r in mine)]
    good = [r for r in found if "good_folder" in r.name]
    alarms = sum(r.outcome == "failed" for r in good)
    passed = sum(r.outcome == "passed" for r in found)
    whole = any("thousand_good_folders" in r.name for r in good)
    commands = any("no_command_changes" in r.name for r in found)
    trials = "1,000 generated good folders" if whole else "some 100 generated good folders (1,000 with --long)"
    reached = f"{len(right)} of {len(due)}; {alarms} false alarms"
    failed = sum(r.outcome == "failed" for r in found)
    return [
        Row(
            "G12",
            "bad folders named right",
            "66 of 66, 0 false alarms on 1,000 good ones",
            reached,
            f"one folder per form, {trials}",
            judged(len(right) == len(due) and not alarms, whole=whole),
        ),
        Row(
            "G13",
            "bytes of a site's folder changed by a command",
            "0",
            f"0; {passed} tests passed" if not failed else f"{failed} of {passed + failed} tests failed",
            "every check and every command that reads a folder compares bytes, times and rights in the tests of group D",
            judged(failed == 0, whole=commands),
        ),
    ]


def soak(long: bool) -> list[Row]:
    """G19."""
    what, goal = "soak", "1,000 rounds, 20 % faults, memory + < 5 %, 0 stuck"
    if not long:
        return [Row("G19", what, goal, NONE, "--long", "not measured")]
    from tests.faults.load import measured

    found = measured("soak", 1000, timeout_s=7200.0)
    aside = 100 * found["set_aside"] / found["replies"]
    reached = f"{found['rounds']:,} rounds, {aside:.0f} % set aside, memory {100 * found['growth']:+.1f} %"
    how = "in process, a fifth of replies late, absent, failed or NaN; from round 200 to 1,000"
    holds = found["growth"] < 0.05 and found["rounds"] == 1000
    return [Row("G19", what, goal, reached, how, judged(holds))]


def canaries(runs: Runs, long: bool) -> list[Row]:
    """G14: tests of P05 in runs of the fault suite; a gigabyte is searched with ``long``."""
    what, goal = "bytes of canaries found outside the site", "0 in >= 10^9 bytes"
    tests = _outcome(runs, "G14", what, goal, ("P05",), whole=False)
    if not long:
        return [tests]
    from benchmarks.faults.dumps import searched

    found, done = searched(10**9)
    how = "messages, server's files and ledgers of runs with marks in ids, paths, comments and texts of errors"
    if tests.verdict != "not measured":
        how += f"; P05: {tests.reached}"
    holds = found == 0 and tests.verdict != "missed"
    return [Row("G14", what, goal, f"{found} in {done:,} bytes", how, judged(holds, whole=done >= 10**9))]


def from_suite(runs: Runs) -> list[Row]:
    """G7, G10, G15, G23: what runs of the fault suite left."""
    return [
        _limit(runs, "G7", "time from a client's crash to the server knowing", "<= 10 s", 10.0, ("C03",)),
        _limit(runs, "G10", "resume after SIGKILL to the first new message, deployed", "<= 20 s", 20.0, ("S01",)),
        _outcome(runs, "G15", "calls reachable without credential from outside", "0", ("N12", "N13", "T16")),
        _repeats(runs),
    ]


def _limit(runs: Runs, figure: str, what: str, goal: str, most: float, cases: tuple[str, ...]) -> Row:
    """The largest number that a test noted; where none was, only that the case passed within its own limit."""
    if seconds := noted(runs, figure):
        return Row(figure, what, goal, f"{max(seconds):.1f} s", f"{len(seconds)} times", judged(max(seconds) <= most))
    return _outcome(runs, figure, what, goal, cases, whole=False)


def _outcome(runs: Runs, figure: str, what: str, goal: str, cases: tuple[str, ...], *, whole: bool = True) -> Row:
    found = of_cases(runs, *cases)
    if {case for case in cases if of_cases(runs, case)} != set(cases):
        return Row(figure, what, goal, NONE, SUITE, "not measured")
    failed = sum(result.outcome == "failed" for result in found)
    reached = f"{len(found) - failed} of {len(found)} tests passed"
    return Row(figure, what, goal, reached, f"cases {', '.join(cases)}", judged(failed == 0, whole=whole))


def _repeats(runs: Runs) -> Row:
    what, goal = "flaky tests", "0 in 50 repeats of real processes"
    if len(runs) < 2:
        return Row("G23", what, goal, NONE, f"several runs of {SUITE} under other names", "not measured")
    found = flaky(runs)
    reached = f"{len(found)} in {len(runs)} runs" + (f": {', '.join(found[:3])}" if found else "")
    return Row(
        "G23", what, goal, reached, "tests that passed once and failed once", judged(not found, whole=len(runs) >= 50)
    )


def deployed(path: Path) -> list[Row]:
    """G21: what ``python -m benchmarks.deployed_rounds --sites 8 --rounds 100 --json FILE`` left."""
    what, goal = "sites held, real processes on 2 cores", "8 sites: <= 30 s per round, 100 rounds"
    command = f"python -m benchmarks.deployed_rounds --sites 8 --rounds 100 --json {path}"
    if not path.exists():
        return [Row("G21", what, goal, NONE, command, "not measured")]
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sites, rounds, seconds = found["sites"], len(found["rounds"]), found["round_s"]
    reached = f"{sites} sites, {rounds} rounds: median {seconds['median']:.1f} s, most {seconds['max']:.1f} s"
    whole = sites >= 8 and rounds >= 100
    return [Row("G21", what, goal, reached, command, judged(seconds["median"] <= 30.0, whole=whole))]
