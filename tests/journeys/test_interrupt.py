"""Ctrl-C and SIGTERM in mid-run: a readable record, no result, no process, and the report still draws."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from fedmce.record import read_record
from tests.journeys.processes import fedmce, new_tag, nothing_left, rounds_in, wait_until

SMALL = ["dataset.train_rows=20", "training.local_epochs=1", "rounds=100000"]


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_leaves_a_whole_record_and_no_process(
    tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    folder = tmp_path / "stopped"
    with new_tag() as tag:
        process = fedmce(["run", *SMALL, f"out={folder}"], tmp_path, tag)
        wait_until(lambda: rounds_in(folder) >= 2, process, 60)
        process.send_signal(stop)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert nothing_left(tag)
    rows = read_record(folder)
    lines = (folder / "record.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(lines)
    end, done = rows[-1], sum(row["event"] == "round" for row in rows)
    assert (end["event"], end["status"], end["rounds_done"]) == ("end", "interrupted", done)
    assert done >= 2
    assert not (folder / "result.json").exists()
    assert not list(folder.glob("*.tmp"))
    assert "interrupted" in err
    assert "Traceback" not in err
    assert str(folder) in err.replace("\n", "")
    if stop is signal.SIGINT:  # one drawing is enough: the records are alike
        assert_the_report_draws(folder)


def assert_the_report_draws(folder: Path) -> None:
    with new_tag() as tag:
        report = fedmce(["report", str(folder)], folder, tag)
        _, err = report.communicate(timeout=120)
    assert report.returncode == 0, err
    assert (folder / "report.html").stat().st_size > 10_000
    assert "interrupted" in (folder / "report.html").read_text(encoding="utf-8")
    assert list((folder / "figures").glob("*.png"))


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_all_whole_events(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    with new_tag() as tag:
        process = fedmce(["run", *SMALL, f"out={folder}"], tmp_path, tag)
        wait_until(lambda: rounds_in(folder) >= 1, process, 60)
        process.kill()
        process.communicate(timeout=30)
    rows = read_record(folder)
    assert rows[0]["event"] == "start"
    assert any(row["event"] == "round" for row in rows)
    assert not (folder / "result.json").exists()
