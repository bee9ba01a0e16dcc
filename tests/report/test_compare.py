"""Laws of the page that puts runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedmce.errors import DataError
from fedmce.report import compare
from fedmce.report.reader import read
from tests.report.made_run import make_run


def test_every_score_of_every_run_stands_on_the_page(finished: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "zero", seed=5, changes={"method": "fedavg_zero"})
    text = compare([finished, other], tmp_path / "page.html").read_text(encoding="utf-8")
    for run in (finished, other):
        metrics = json.loads((run / "result.json").read_text())["metrics"]
        for value in (*metrics["per_subset"].values(), metrics["mean_subset"], metrics["worst_subset"]):
            assert f"<td>{value:.3f}</td>" in text


def test_runs_of_one_method_are_averaged(finished: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "again", seed=5, changes={"seed": 4})
    text = compare([finished, other], tmp_path).read_text(encoding="utf-8")
    first, second = (s.mean or 0.0 for run in (finished, other) if (s := read(run).scores()))
    assert f"{(first + second) / 2:.3f} ± {abs(first - second) / 2**0.5:.3f}" in text
    assert (tmp_path / "compare.html").is_file()


def test_what_makes_runs_incomparable_is_said(finished: Path, cut: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", changes={"masks_sha256": "00" * 32})
    text = compare([finished, cut, other], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "different masks" in text
    assert "Not finished" in text


def test_runs_that_answer_different_questions_are_refused(finished: Path, wide: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="modalities differ"):
        compare([finished, wide], tmp_path / "page.html")
    with pytest.raises(DataError, match="at least one"):
        compare([], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
