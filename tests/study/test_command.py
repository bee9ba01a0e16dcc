"""``fedmce study`` around the cells: folder, resuming, failures, exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from fedmce.cli.app import app
from tests.study.inline import Runner

STUDY = {
    "name": "small",
    "common": ["dataset=av_digits", "rounds=1"],
    "settings": {"even": ["missingness=natural"]},
    "methods": {"ours": ["method=fedmce"], "plain": ["method=fedavg_owner"]},
    "reference": "ours",
    "seeds": [0, 1],
    "tuning": {"seeds": [7], "grid": {"training.lr": [0.01, 0.02]}},
    "bars": [{"pair": ["ours", "plain"], "above": 0.0}],
}
Study = Callable[..., Result]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Calls the command in an empty folder beside the study file."""
    from fedmce.report.study_draw import draw_study

    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(STUDY))

    def call(*arguments: str, runner: Runner | None = None, draws: bool = False) -> Result:
        (runner or Runner()).install(monkeypatch)
        if not draws:
            monkeypatch.setattr("fedmce.report.study_draw.draw_study", lambda *given: None)
        else:
            monkeypatch.setattr("fedmce.report.study_draw.draw_study", draw_study)
        return CliRunner().invoke(app, ["study", "study=small.yaml", *arguments])

    return call


def rows(folder: str = "runs/study-small") -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(folder, "cells.jsonl").read_text().splitlines()]


def test_tuning_runs_first_and_the_finals_have_the_chosen_values(study: Study) -> None:
    runner = Runner()
    done = study(runner=runner)
    assert done.exit_code == 0, done.output
    cells = [job.cell for job in runner.ran]
    assert [c.tunes for c in cells] == [True] * 4 + [False] * 4
    assert {c.values for c in cells[4:]} == {(("training.lr", 0.02),)}
    with Path("runs/study-small/tuning.csv").open() as file:
        assert [(r["values"], r["chosen"]) for r in csv.DictReader(file)][:2] == [
            ("training.lr=0.01", "False"),
            ("training.lr=0.02", "True"),
        ]


def test_a_study_leaves_its_files_and_prints_scores_bars_and_places(study: Study) -> None:
    done = study("--out", "here", draws=True)
    names = {path.name for path in Path("here").iterdir()} - {".lock"}
    assert names == {
        "study.json", "cells.jsonl", "cells", "table.csv", "table.parquet", "comparisons.csv", "bars.csv", "tuning.csv",
        "summary.md", "figures", "report.html",
    }  # fmt: skip
    assert "here/report.html" in done.stdout
    assert "| ours |" in done.stdout
    assert "met" in done.stdout
    record = json.loads(next(Path("here/cells").glob("*.json")).read_text())
    assert {"cell", "hashes", "versions", "metrics", "seconds", "bytes"} <= set(record)


def test_one_plain_line_per_cell_without_a_terminal_and_none_when_quiet(study: Study) -> None:
    lines = study().stderr.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("[1/8] even/ours/seed 7 (training.lr=0.01): 0.")
    assert "left" in lines[0]
    assert lines[-1].startswith("[8/8]")
    assert study("--quiet", "seeds=[0,1,2]").stderr == ""


def test_finished_cells_are_not_run_again_and_further_seeds_are_added(study: Study) -> None:
    assert study().exit_code == 0
    again, more = Runner(), Runner()
    assert study(runner=again).exit_code == 0
    assert again.ran == []
    assert study("seeds=[0,1,2]", runner=more).exit_code == 0
    assert [job.cell.seed for job in more.ran] == [2, 2]


def test_a_stopped_study_keeps_its_cells_and_goes_on(study: Study) -> None:
    stopped = study(runner=Runner(stops_after=5))
    assert stopped.exit_code == 130
    assert "5 cells done, 3 to do" in stopped.stderr
    assert len(rows()) == 5
    rest = Runner()
    assert study(runner=rest).exit_code == 0
    assert len(rest.ran) == 3


def test_a_failing_cell_loses_only_itself_and_is_tried_again(study: Study) -> None:
    done = study(runner=Runner(fails=[("plain", 1)]), draws=True)
    assert done.exit_code == 1
    assert "1 cells failed" in done.stderr
    assert "DataError: no such file" in done.stdout
    page = Path("runs/study-small/report.html").read_text()
    assert "even/plain/seed 1 (training.lr=0.02): DataError: no such file" in page
    again = Runner()
    assert study(runner=again, draws=True).exit_code == 0
    assert [(job.cell.method, job.cell.seed) for job in again.ran] == [("plain", 1)]
    assert "DataError" not in Path("runs/study-small/report.html").read_text()


def test_failed_tuning_takes_its_values_out_of_the_choice(study: Study) -> None:
    done = study(runner=Runner(fails=[("ours", 7), ("plain", 7)]))
    assert done.exit_code == 1
    assert "no combination has a validation score" in done.stdout


def test_a_dry_run_says_what_would_be_run_and_writes_nothing(study: Study, tmp_path: Path) -> None:
    runner = Runner()
    done = study("--dry-run", runner=runner)
    assert done.exit_code == 0
    assert "0 done, 8 to do" in done.stdout
    assert runner.ran == []
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_without_running_tables_are_made_of_what_is_there(study: Study) -> None:
    study(runner=Runner(stops_after=6))
    runner = Runner()
    done = study("--no-run", runner=runner)
    assert done.exit_code == 0
    assert runner.ran == []
    assert "2 runs are still to do" in done.stdout
    assert "open" in Path("runs/study-small/bars.csv").read_text()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("seeds=[7]", "which the comparison uses"),
        ("rounds=abc", "rounds: given 'abc'"),
        ("methods=[oours]", "unknown method 'oours'"),
        ("dataset=av_digit", "unknown choice 'av_digit'"),
        ("missingness.rates.adio=0.5", "unknown modality 'adio'"),
        ("seed=3", "the study sets"),
    ],
)
def test_a_wrong_study_ends_with_2_one_message_and_nothing_written(
    study: Study, tmp_path: Path, bad: str, said: str
) -> None:
    # The natural mechanism takes no rates; with one that does, the name is checked against the data set.
    extra = ['settings.even=["missingness=imbalanced"]'] if "adio" in bad else []
    done = study(*extra, bad)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_absent_data_ends_with_3_before_anything_is_written(study: Study, tmp_path: Path) -> None:
    done = study('settings.even=["dataset=heart_disease"]')
    assert done.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_the_folder_of_another_study_is_refused(study: Study, tmp_path: Path) -> None:
    study("--out", "here")
    other = STUDY | {"name": "other"}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(other))
    done = study("--out", "here")
    assert done.exit_code == 2
    assert "holds study small" in done.stderr


def test_cells_of_other_code_are_run_again_unless_told_otherwise(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study().exit_code == 0
    monkeypatch.setattr("fedmce.study.code.code_sha256", lambda: "0" * 64)
    kept, again = Runner(), Runner()
    done = study("--any-code", runner=kept)
    assert done.exit_code == 0
    assert kept.ran == []
    assert study(runner=again).exit_code == 0
    assert len(again.ran) == 8


def test_only_the_run_that_is_asked_for_keeps_its_rounds(study: Study) -> None:
    runner = Runner()
    study("trace.method=plain", "trace.seed=1", runner=runner)
    assert [(j.cell.method, j.cell.seed) for j in runner.ran if j.traced] == [("plain", 1)]


def test_runs_that_are_no_pairs_end_with_1_and_are_named(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.study import inline

    whole = inline.record

    def other_masks(setting: str, method: str, seed: int, mean: float) -> dict[str, object]:
        found = whole(setting, method, seed, mean)
        found["hashes"]["masks"] = f"{method} {seed}"
        return found

    monkeypatch.setattr(inline, "record", other_masks)
    done = study()
    assert done.exit_code == 1
    assert "2 runs are no pairs" in done.stderr
    assert "even/plain/seed 0: other masks than ours" in done.stdout
