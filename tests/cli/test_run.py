"""``fedmce run`` around the engine: folder, answers, exit codes, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.errors import DataError, RunError
from tests.cli.fake_engine import FakeEngine, install

Fedmce = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fedmce(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fedmce:
    """Runs the command line in an empty folder, on a fake engine."""
    monkeypatch.chdir(tmp_path)

    def put(where: Any, name: str, value: Any) -> None:
        setter = monkeypatch.setitem if isinstance(where, dict) else monkeypatch.setattr
        setter(where, name, value)

    def call(*arguments: str, engine: FakeEngine | None = None) -> Result:
        install(engine or FakeEngine(), put)
        return CliRunner().invoke(app, list(arguments))

    return call


def test_a_run_prints_scores_availability_contributions_and_paths_on_stdout(fedmce: Fedmce) -> None:
    done = fedmce("run", "rounds=3", "out=here/run")
    assert done.exit_code == 0, done.output
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["image+audio", "0.875", "41"] in rows
    assert ["audio", "-", "41"] in rows
    assert ["north", "25%", "100%", "100"] in rows
    assert ["south", "[b]", "0%", "50%", "90"] in rows
    assert ["audio", "-0.125"] in rows
    assert "here/run/report.html" in done.stdout
    assert "here/run/result.json" in done.stdout
    assert "caution: numbers of a fake engine" in done.stdout


def test_without_a_terminal_there_is_one_plain_line_per_round_on_stderr(fedmce: Fedmce) -> None:
    done = fedmce("run", "rounds=3", "out=run")
    lines = done.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["round 1/3", "round 2/3", "round 3/3"]
    assert "mean-subset accuracy 0.502 after round 2" in lines[2]
    assert "set aside: south [b] (not_finite)" in lines[1]
    assert "s left" in lines[0]
    assert "\x1b" not in done.output


def test_quiet_silences_progress_and_never_the_result(fedmce: Fedmce) -> None:
    done = fedmce("run", "--quiet", "rounds=3", "out=run")
    assert done.stderr == ""
    assert "0.875" in done.stdout


def test_json_is_one_object_on_stdout_with_the_whole_result(fedmce: Fedmce) -> None:
    done = fedmce("run", "--json", "seed=7", "rounds=1", "out=run")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "fedmce.run/1"
    assert answer["result"]["seed"] == 7
    assert answer["report"] == "run/report.html"


def test_json_says_an_error_as_an_object_with_the_same_exit_code(fedmce: Fedmce) -> None:
    done = fedmce("run", "--json", "rounds=abc")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


def test_the_default_folder_is_named_by_utc_time_and_name(fedmce: Fedmce, tmp_path: Path) -> None:
    for _ in range(2):
        assert fedmce("run", "rounds=1", "name=trial").exit_code == 0
    folders = sorted(folder.name for folder in (tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-trial(-2)?", name) for name in folders)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_with_content_is_refused_by_name_and_kept(fedmce: Fedmce, tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "old" / "precious.txt" if kind == "folder" else tmp_path / "old"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("mine")
    done = fedmce("run", "rounds=1", "out=old")
    assert done.exit_code == 2
    assert "old" in done.stderr
    assert precious.read_text() == "mine"


@pytest.mark.parametrize(
    "bad", ["rounds=abc", "dataset=av_digit", "missingness.rates.audio=1.7", "training.lrr=1", "sites=[a"]
)
def test_a_bad_override_ends_with_2_one_message_no_trace_and_no_folder(
    fedmce: Fedmce, tmp_path: Path, bad: str
) -> None:
    done = fedmce("run", bad)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_names_that_the_data_set_does_not_have_are_refused_before_any_folder(fedmce: Fedmce, tmp_path: Path) -> None:
    done = fedmce("run", "missingness.rates.adio=0.5", "sites=[nobody]")
    assert done.exit_code == 2
    assert "unknown modality 'adio'; known are image, audio. did you mean 'audio'?" in done.stderr
    assert "unknown site 'nobody'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_absent_data_ends_with_3_and_no_folder(fedmce: Fedmce, tmp_path: Path) -> None:
    done = fedmce("run", "dataset=heart_disease")
    assert done.exit_code == 3
    assert "fedmce data fetch heart_disease" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("failure", "code"), [(RunError("too few sites answered"), 1), (DataError("bad file"), 3)])
def test_own_errors_of_the_engine_have_their_exit_code_and_no_trace(
    fedmce: Fedmce, failure: Exception, code: int
) -> None:
    done = fedmce("run", "--quiet", "rounds=1", "out=run", engine=FakeEngine(failure=failure))
    assert done.exit_code == code
    assert done.stderr == f"error: {failure}\n"


def test_a_bug_leaves_its_trace_in_the_run_folder_and_one_line_on_stderr(fedmce: Fedmce, tmp_path: Path) -> None:
    done = fedmce("run", "--quiet", "rounds=1", "out=run", engine=FakeEngine(failure=ZeroDivisionError("oops")))
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "ZeroDivisionError: oops" in done.stderr
    assert "Traceback" in (tmp_path / "run" / "error.txt").read_text()


def test_a_bug_before_there_is_a_folder_shows_its_trace(fedmce: Fedmce, tmp_path: Path) -> None:
    engine = FakeEngine(failure=ZeroDivisionError("oops"), leaves_folder=False)
    done = fedmce("run", "out=run", engine=engine)
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_record_and_says_where_it_is(tmp_path: Path, number: int, code: int) -> None:
    command = [sys.executable, "-m", "tests.cli.fake_engine", "wait", "run", "--quiet", "rounds=5", "out=run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "waiting").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert stdout == ""
    assert stderr == "interrupted: 1 round(s) done; the record up to there is in run\n"
    rows = [json.loads(line) for line in (tmp_path / "run" / "record.jsonl").read_text().splitlines()]
    assert rows[-1] == {"event": "end", "status": "interrupted"}
