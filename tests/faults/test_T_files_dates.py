"""Group T as far as it is decided on files: certificates (T03-T05), clock (T13); and 4.7's dates."""

from datetime import timedelta
from pathlib import Path

import pytest

from fedmce.kits.authority import issue, make_authority
from fedmce.kits.certificate import certificate_problems
from fedmce.kits.clock import clock_offset, clock_problems
from fedmce.kits.server_check import server_problems
from fedmce.kits.server_folder import ServerFolder
from tests.kits.made import LATER, NOW, digest, project

GMT = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    return project(tmp_path_factory.mktemp("faults") / "federation")


def test_T03_a_certificate_of_another_authority_is_named_with_the_file_that_is_trusted(
    federation: ServerFolder, tmp_path: Path
) -> None:
    (tmp_path / "other.crt").write_bytes(make_authority(NOW).issued.certificate)
    found = certificate_problems(federation.certificate, now=LATER, authority=tmp_path / "other.crt")
    assert [p.case for p in found] == ["T03"]
    assert "certificate verify failed" in str(found[0])
    assert str(tmp_path / "other.crt") in str(found[0])
    assert found[0].exit_code == 4


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_T03_a_file_that_holds_no_certificate_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    (problem,) = certificate_problems(path, now=LATER)
    assert problem.where == str(path)


@pytest.mark.parametrize(("days", "word"), [(-0.05, "not yet valid"), (90, "expired"), (5000, "expired")])
def test_T04_dates_are_shown_where_they_do_not_fit(federation: ServerFolder, days: float, word: str) -> None:
    (problem,) = certificate_problems(federation.certificate, now=NOW + timedelta(days=days))
    assert (problem.case, problem.is_warning, problem.exit_code) == ("T04", False, 4)
    assert word in str(problem)
    assert "valid 2026-11-21 11:00 to 2027-02-19 12:00 UTC" in str(problem)


def test_T04_the_first_hour_is_valid_for_sites_whose_clocks_are_behind(federation: ServerFolder) -> None:
    assert certificate_problems(federation.certificate, now=NOW - timedelta(minutes=59)) == []


@pytest.mark.parametrize(("days", "warned"), [(59, False), (61, True), (89, True)])
def test_T04_the_end_is_announced_a_month_before(federation: ServerFolder, days: float, warned: bool) -> None:
    found = certificate_problems(federation.certificate, now=NOW + timedelta(days=days))
    assert [p.is_warning for p in found] == [True] * warned


def test_T04_a_certificate_that_a_run_would_outlive_is_refused(federation: ServerFolder) -> None:
    (problem,) = server_problems(federation.path, LATER, until=NOW + timedelta(days=91), app=digest(federation))
    assert (problem.case, problem.is_warning) == ("T04", False)
    assert "ends before the run" in str(problem)
    assert server_problems(federation.path, LATER, until=NOW + timedelta(days=89), app=digest(federation)) == []


def test_T05_a_name_that_the_certificate_is_not_for_is_shown_with_those_that_it_is_for(
    federation: ServerFolder,
) -> None:
    (problem,) = certificate_problems(federation.certificate, ["localhost", "other.org", "10.1.1.1"], LATER)
    assert problem.case == "T05"
    assert "not for other.org, 10.1.1.1" in str(problem)
    assert "fl.example.org" in str(problem)


def test_T05_a_certificate_without_names_is_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(make_authority(NOW).issued.certificate)
    (problem,) = certificate_problems(tmp_path / "ca.crt", ["localhost"], LATER)
    assert "it is for no name" in str(problem)


def test_T03_a_server_s_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    made = project(tmp_path / "federation")
    made.key.write_bytes(issue(make_authority(NOW), ["localhost"], 5, NOW).key)
    (problem,) = server_problems(made.path, LATER, app=digest(made))
    assert "not the key of server.crt" in str(problem)


@pytest.mark.parametrize(
    ("offset_s", "verdict"),
    [
        (0, None),
        (2, None),
        (-150, None),
        (3, True),
        (-200, True),
        (10, False),
        (-360, False),
        (5, False),
        (-305, False),
    ],
)
def test_T13_a_clock_that_flower_would_refuse_is_named_with_its_offset(offset_s: float, verdict: bool | None) -> None:
    found = clock_problems(offset_s)
    assert [p.is_warning for p in found] == ([] if verdict is None else [verdict])
    if found:
        assert f"{abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} the server's" in str(found[0])
        assert (found[0].case, found[0].exit_code) == ("T13", 4)


def test_T13_ten_seconds_ahead_and_six_minutes_behind_are_read_from_the_date_header() -> None:
    assert clock_offset(GMT, NOW + timedelta(seconds=10)) == pytest.approx(10, abs=0.5)
    assert clock_offset(GMT, NOW - timedelta(minutes=6)) == pytest.approx(-360, abs=0.5)
