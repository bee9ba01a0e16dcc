"""The toy of docs/adding-a-baseline.md, taken from the page, runs in an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedmce.record import read_record

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-baseline.md"


def files_on_the_page() -> dict[str, str]:
    """Blocks that follow a file name on a line of its own words: ``name`` ... then the block."""
    return dict(re.findall(r"^`([\w.]+)`[^\n]*\n\n```\w+\n(.*?)^```", PAGE.read_text(), re.S | re.M))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = files_on_the_page()
    assert set(found) == {"toy.py", "toy.yaml"}
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def fedmce(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fedmce", "run", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
def test_the_toy_trains_with_two_files_alone(folder: Path) -> None:
    done = fedmce(folder, "method=./toy.yaml", "rounds=2", "out=run")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {"run", "toy.py", "toy.yaml"}
    rows = read_record(folder / "run")
    assert rows[0]["method"] == "smoothed_dropout"
    last = [row for row in rows if row["event"] == "round"][-1]
    assert {site["verdict"] for site in last["sites"].values()} == {"accepted"}
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["metrics"]["mean_subset"] > 0.25  # two rounds, ten digits


@pytest.mark.slow
def test_a_file_that_is_not_there_ends_the_run_before_it_begins(folder: Path) -> None:
    (folder / "toy.py").unlink()
    done = fedmce(folder, "method=./toy.yaml", "rounds=2", "out=run")
    assert done.returncode == 2
    assert "objective.call: no file" in done.stderr
    assert not (folder / "run").exists()


def test_the_page_keeps_its_promise_of_length() -> None:
    lines = [line for line in files_on_the_page()["toy.py"].splitlines() if line.strip()]
    assert len(lines) <= 25
