"""What the page says beyond the score per subset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmce.report import draw
from fedmce.report.beyond import completion, fairness, glance, of_sites
from fedmce.report.reader import read
from fedmce.report.story import Story
from fedmce.report.subset_table import every_subset
from fedmce.report.words import DASH, number
from tests.report.made_run import make_run
from tests.report.test_page import Page


@pytest.fixture(scope="module")
def story(finished: Path) -> Story:
    return read(finished)


def cells(rows: list[list[str]]) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in rows}


def test_the_glance_names_the_worst_subset_and_what_is_lost_there(story: Story) -> None:
    table = glance(story)
    assert table is not None
    assert story.result is not None
    metrics, robust = story.result["metrics"], story.result["robustness"]
    found = cells(table.rows)
    name = metrics["worst_subset_name"]
    assert found["worst subset"][0] == f"{number(metrics['per_subset'][name])} ({name})"
    assert found["lost there"][0].startswith(number(metrics["full"] - metrics["worst_subset"]))
    assert found["patterns as in training"][0] == number(robust["deploy"]["score"])
    assert found["every prediction alike"][0] == number(metrics["pooled_subset"])
    assert found["calibration error"][0] == number(metrics["calibration"]["expected_calibration_error"]["mean_subset"])
    assert found["learning imbalance"][0] == number(story.result["evenness"]["learning_imbalance"])
    assert found["equity"][0] == number(story.result["evenness"]["equity"]["gini"])
    assert "0.500 if one does everything" in found["equity"][1]


def test_patterns_whose_score_is_unknown_are_said_to_be_left_out(tmp_path: Path) -> None:
    story = read(make_run(tmp_path / "run"))
    assert story.result is not None
    story.result["robustness"]["deploy"]["covered"] = 0.93
    table = glance(story)
    assert table is not None
    assert "93 % of these rows have a score" in cells(table.rows)["patterns as in training"][1]


def test_fairness_stands_for_every_way_of_giving_rows(story: Story) -> None:
    table = fairness(story)
    assert table is not None
    assert story.result is not None
    spread = story.result["robustness"]["fairness"]["mean_subset"]
    first = table.rows[0]
    assert [row[0] for row in table.rows] == ["every subset alike", "patterns as in training", "test rows as they are"]
    assert first[1:3] == [number(story.result["metrics"]["mean_subset"]), number(spread["mean"])]
    assert first[-1] == spread["worst_site"]


def test_completion_stands_by_modality_and_only_where_it_was_graded(story: Story, tmp_path: Path) -> None:
    table = completion(story)
    assert table is not None
    assert [row[0] for row in table.rows] == story.modalities
    bare = read(make_run(tmp_path / "run"))
    assert bare.result is not None
    del bare.result["metrics"]["completion_quality"]
    assert completion(bare) is None


def test_a_site_without_an_own_score_is_a_dash_in_its_column(tmp_path: Path) -> None:
    story = read(make_run(tmp_path / "run"))
    assert story.result is not None
    story.result["metrics"]["as_available"]["test"]["per_site"]["amber"] = None
    scores = story.scores()
    assert scores is not None
    assert number(of_sites(story, scores)["test rows as they are"]["amber"]) == DASH


def test_the_table_of_subsets_has_both_means_of_what_has_both(story: Story) -> None:
    scores = story.scores()
    assert scores is not None
    assert story.result is not None
    table = every_subset(story, scores)
    both = cells(table.rows)
    column = table.head.index("Brier score") - 1
    brier = story.result["metrics"]["calibration"]["brier"]
    assert both["mean over subsets"][column] == number(brier["mean_subset"])
    assert both["all predictions pooled"][column] == number(brier["pooled_subset"])
    assert both["image"][table.head.index("drop from all") - 1] == number(story.result["robustness"]["drop"]["image"])
    assert both["all predictions pooled"][table.head.index("validation") - 1] == ""


def older(run: Path) -> dict[str, Any]:
    """A result as it was written before these figures existed."""
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    for key in ("robustness", "evenness"):
        del result[key]
    for key in ("pooled_subset", "worst_subset_name", "overall", "calibration", "as_available", "completion_quality"):
        del result["metrics"][key]
    return result


def test_a_result_from_before_is_drawn_without_them(tmp_path: Path) -> None:
    run = make_run(tmp_path / "old")
    (run / "result.json").write_text(json.dumps(older(run)))
    text = Page(draw(run).read_text(encoding="utf-8")).text
    assert "How even, how calibrated, how robust" not in text
    assert "mean over subsets" in text


def test_a_run_that_was_cut_short_claims_none_of_it(cut: Path) -> None:
    text = Page((cut / "report.html").read_text(encoding="utf-8")).text
    assert "How even, how calibrated, how robust" not in text
