"""The result as tables in a terminal, with few modalities and with many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmce.cli.summary import print_summary
from tests.report.made_run import make_run


def printed(folder: Path, result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    print_summary(folder, result)
    return capsys.readouterr().out


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def test_few_modalities_are_listed_subset_by_subset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    shown = printed(run, result_of(run), capsys)
    assert all(f"│ {subset}" in shown for subset in ("image", "audio", "image+audio"))


def test_scores_with_completed_tokens_have_a_line_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    result = result_of(run)
    assert "with completed tokens" not in printed(run, result, capsys)
    result["metrics"]["completed"] = {"use": "mean", "per_subset": {}, "mean_subset": 0.625, "worst_subset": 0.5}
    assert "with completed tokens (mean): mean subset 0.625" in printed(run, result, capsys)


def test_where_every_site_has_a_model_of_its_own_no_contribution_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    shown = printed(run, result_of(run) | {"contributions": {}}, capsys)
    assert "contribution per modality on test rows: not measured" in shown
    assert "report.html" in shown or "result.json" in shown


def test_many_modalities_are_shown_by_size_and_no_line_is_wider_than_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    result = result_of(run)
    names = [f"modality_{number}" for number in range(9)]
    scores = {names[0]: 0.25, names[1]: 0.75, "+".join(names): 1.0, "+".join(names[:2]): None}
    result |= {
        "modalities": names,
        "availability": {"north": {n: 0.5 if i else 0.1 for i, n in enumerate(names)}},
        "rows": {"north": 40},
        "contributions": dict.fromkeys(names, 0.1),
        "provenance": dict.fromkeys(names, "real: measured"),
    }
    result["metrics"]["per_subset"] = scores
    shown = printed(run, result, capsys)
    assert "1 of 9" in shown
    assert "0.500" in shown
    assert "2 of 9" not in shown
    assert "90%" in shown
    assert shown.count("real: measured") == 1
    assert "modality_0+modality_1" not in shown
