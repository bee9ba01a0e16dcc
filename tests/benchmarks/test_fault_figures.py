"""The table of G1 to G23: cheap rows are measured, others read from what runs left, and nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import __main__ as command
from benchmarks.faults import dumps, later, now
from benchmarks.faults.results import Result, flaky, read_results
from benchmarks.faults.row import Row, judged, markdown
from tests.privacy.made import Dump

XML = """<testsuites><testsuite>
<testcase classname="tests.faults.test_C_process" name="test_C03_killed">
  <properties><property name="G7" value="3.5"/><property name="other" value="x"/></properties></testcase>
<testcase classname="tests.deployment.test_proxy" name="test_N12_calls"/>
<testcase classname="tests.deployment.test_proxy" name="test_N13_paths[a]"/>
<testcase classname="tests.faults.test_T" name="test_T16_task"><failure message="401 wanted"/></testcase>
<testcase classname="tests.faults.test_S" name="test_S01_killed"><skipped message="no nginx"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    path = tmp_path / "faults.xml"
    path.write_text(XML)
    return path


def test_cheap_rows_are_measured_and_reach_their_goals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.md"
    cheap = ["G1", "G2", "G8", "G9", "G11", "G22"]
    assert command.main([*cheap, "--out", str(out)]) == 0
    rows = [line for line in out.read_text().splitlines() if line.startswith("| G")]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == cheap
    assert all(row.endswith("| reached |") for row in rows)
    assert "0 of 42" in rows[0]
    assert "1 / 6" in rows[2]
    assert "G11" in capsys.readouterr().out


def test_a_miss_and_a_measuring_that_fails_stay_in_the_table_and_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(now.QUICK, "G3", lambda: [Row("G3", "gate", "<= 30 ms", "31 ms", "median", judged(False))])
    assert command.main(["G3"]) == 1
    assert "missed" in capsys.readouterr().out

    def broken() -> list[Row]:
        raise ZeroDivisionError("no replies")

    monkeypatch.setitem(now.QUICK, "G3", broken)
    assert command.main(["G3"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_what_nobody_measured_is_called_so(tmp_path: Path) -> None:
    rows = [*later.from_suite([]), *later.canaries([], False)]
    rows += [*later.deployed(tmp_path / "none.json"), *later.soak(False)]
    assert {row.number for row in rows} == {"G7", "G10", "G14", "G15", "G23", "G21", "G19"}
    assert {(row.reached, row.verdict) for row in rows} == {("-", "not measured")}


def test_runs_of_the_suite_are_read_with_the_numbers_that_tests_noted(xml: Path) -> None:
    run = read_results(xml)
    assert [result.outcome for result in run] == ["passed", "passed", "passed", "failed", "skipped"]
    rows = {row.number: row for row in later.from_suite([run])}
    assert (rows["G7"].reached, rows["G7"].verdict) == ("3.5 s", "reached")
    assert (rows["G15"].reached, rows["G15"].verdict) == ("2 of 3 tests passed", "missed")
    assert rows["G10"].verdict == "not measured", "a test that was skipped shows nothing"
    assert rows["G23"].verdict == "not measured", "one run shows no flake"
    with pytest.raises(ValueError, match="needed the XML"):
        read_results(xml.parent / "none.xml")


def test_the_search_of_dumps_counts_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in what a federation sent; with a site's own log among it, the beginning of its marks."""
    monkeypatch.setattr(dumps, "WIDTH", 16)
    found, done = dumps.searched(1_000_000)
    assert found == 0
    assert done >= 1_000_000

    def leaking(dump: Dump) -> Iterator[tuple[str, bytes]]:
        yield from whole(dump)
        yield "site.log", (dump.homes / "ash" / "log" / "site.log").read_bytes()

    whole = dumps.what_left
    monkeypatch.setattr(dumps, "what_left", leaking)
    found, _ = dumps.searched(1)
    assert found >= 2 * dumps.TAG


@pytest.mark.parametrize(
    ("found", "outcome", "verdict"), [(0, "passed", "reached"), (12, "passed", "missed"), (0, "failed", "missed")]
)
def test_canaries_are_judged_by_the_search_and_by_the_tests(
    monkeypatch: pytest.MonkeyPatch, found: int, outcome: str, verdict: str
) -> None:
    monkeypatch.setattr(dumps, "searched", lambda goal: (found, goal + 1))
    (row,) = later.canaries([[Result("t::test_P05_x", outcome)]], True)
    assert (row.reached, row.verdict) == (f"{found} in 1,000,000,001 bytes", verdict)


def test_a_test_that_passes_and_fails_is_flaky() -> None:
    good, bad = Result("t::test_N01_x", "passed"), Result("t::test_N01_x", "failed")
    assert flaky([[good], [good]]) == flaky([[bad], [bad]]) == []
    assert flaky([[good], [bad]]) == ["t::test_N01_x"]
    row = next(row for row in later.from_suite([[good], [bad]]) if row.number == "G23")
    assert row.verdict == "missed"
    row = next(row for row in later.from_suite([[good]] * 20) if row.number == "G23")
    assert row.verdict == "in part", "the goal asks for fifty"


@pytest.mark.parametrize(
    ("sites", "rounds", "median", "verdict"),
    [(8, 100, 12.0, "reached"), (8, 100, 31.0, "missed"), (8, 10, 12.0, "in part"), (3, 100, 31.0, "missed")],
)
def test_rounds_of_real_processes_are_read_from_their_benchmark(
    tmp_path: Path, sites: int, rounds: int, median: float, verdict: str
) -> None:
    file = tmp_path / "rounds.json"
    spread = {"median": median, "p90": median, "max": median}
    file.write_text(json.dumps({"sites": sites, "rounds": [{}] * rounds, "round_s": spread}))
    assert later.deployed(file)[0].verdict == verdict


def test_every_figure_has_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {name for names in now.QUICK for name in names.split()}
    beside = {"G4", "G5", "G12", "G13", "G19", "G7", "G10", "G14", "G15", "G23", "G21"}
    assert ways | beside == set(command.NUMBERS)
    assert markdown([Row("G1", "a|b", "0", "0", "c", "reached")]).endswith("| G1 | a/b | 0 | 0 | c | reached |\n")
    with pytest.raises(SystemExit):
        command.main(["G99"])
