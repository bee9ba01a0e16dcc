import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ablation import run_missing
from benchmarks.ablation_table import document, lines
from benchmarks.arms import BY_NAME
from benchmarks.cells import Cell, note_failure, read_cell, settled_cells
from benchmarks.plan import SEEDS
from benchmarks.study import TUNING_SEEDS

SETTING = "sound_mnist"
STEPS = (0.004, 0.008, 0.016)


def _scores(value: float, rare: float) -> dict[str, Any]:
    return {"mean_subset": value, "per_subset": {"audio": rare, "image": 1.0}}


def _record(out: Path, cell: Cell, value: float, completed: float | None = None, masks: str = "") -> None:
    """A finished run: test score ``value``, validation a tenth below, the rare modality half of it."""
    folder = out / cell.key
    folder.mkdir(parents=True)
    metrics: dict[str, Any] = _scores(value, value / 2) | {"validation": _scores(value - 0.1, 0.0)}
    if completed is not None:
        metrics["completed"] = {"use": "full", "by_subset": {"audio": completed / 4}, "mean_subset": completed}
    result = {"metrics": metrics, "masks_sha256": masks or f"masks {cell.seed}", "rounds": 30}
    result |= {"timing": {"total_s": 9.0}, "fedmce_version": "0.1.0"}
    (folder / "result.json").write_text(json.dumps(result))
    versions = {"torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.7"}
    (folder / "record.jsonl").write_text(json.dumps({"event": "start", "versions": versions}) + "\n")
    (folder / "cell.json").write_text(json.dumps(cell.overrides()))


def _arm(out: Path, arm: str, values: list[float], best: float = 0.008, completed: float | None = None) -> None:
    for step in STEPS:
        for seed in TUNING_SEEDS:
            _record(out, Cell(SETTING, arm, step, seed), 0.5 + 0.2 * (step == best))
    for seed, value in zip(SEEDS, values, strict=False):
        _record(out, Cell(SETTING, arm, best, seed), value, completed)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    _arm(tmp_path, "reference", [0.80, 0.82, 0.84, 0.86, 0.88])
    _arm(tmp_path, "completion_off", [0.80, 0.82, 0.84, 0.86, 0.88])
    _arm(tmp_path, "plain", [0.70, 0.73, 0.74, 0.77, 0.78])
    return tmp_path


def test_a_line_is_made_of_the_compared_seeds_at_the_tuned_step(out: Path) -> None:
    found = lines(settled_cells(out, ()))
    plain = found[SETTING, "plain"]
    assert (plain.lr, plain.seeds) == (0.008, 5)
    assert plain.mean_subset == pytest.approx(0.744)
    assert plain.rare == pytest.approx(0.372)
    (difference,) = plain.differences
    # Differences -.10, -.09, -.10, -.09, -.10: mean -.096, deviation .0054772, t(.975, 4) = 2.776445.
    assert difference.mean_subset is not None
    assert difference.mean_subset.mean == pytest.approx(-0.096)
    assert difference.mean_subset.high == pytest.approx(-0.096 + 2.776445 * 0.00547723 / 5**0.5, abs=1e-7)
    assert difference.validation is not None
    assert difference.validation.mean == pytest.approx(-0.096)
    assert difference.rare is not None
    assert difference.rare.mean == pytest.approx(-0.048)


def test_a_view_with_completed_tokens_reads_the_other_scores_of_the_same_runs(out: Path) -> None:
    _arm(out, "through", [0.8] * 5, completed=0.6)
    found = lines(settled_cells(out, ()))
    assert found[SETTING, "through"].mean_subset == pytest.approx(0.8)
    full = found[SETTING, "through_full"]
    assert full.mean_subset == pytest.approx(0.6)
    assert full.rare == pytest.approx(0.15)
    to_through = full.differences[0]
    assert to_through.to == "through"
    assert to_through.mean_subset is not None
    assert to_through.mean_subset.mean == pytest.approx(-0.2)
    assert to_through.validation is None  # not scored so


def test_scores_with_completed_tokens_may_stand_in_the_record_alone(out: Path) -> None:
    _arm(out, "through", [0.8] * 5)
    assert (SETTING, "through_full") not in lines(settled_cells(out, ()))
    for seed in SEEDS:
        with (out / Cell(SETTING, "through", 0.008, seed).key / "record.jsonl").open("a") as file:
            for split, score in (("validation", 0.1), ("test", 0.2), ("validation", 0.5), ("test", 0.6)):
                block = {"use": "full", "by_subset": {"audio": 0.3}, "mean_subset": score}
                file.write(json.dumps({"event": "evaluation", "split": split, "completed": block}) + "\n")
    full = lines(settled_cells(out, ()))[SETTING, "through_full"]
    assert (full.mean_subset, full.rare) == (pytest.approx(0.6), pytest.approx(0.3))
    assert full.differences[0].validation is not None
    assert full.differences[0].validation.mean == pytest.approx(0.5 - 0.7)


def test_seeds_that_one_side_lacks_are_left_out_of_a_difference(out: Path) -> None:
    _arm(out, "a_off", [0.81, 0.83, 0.85])
    line = lines(settled_cells(out, ()))[SETTING, "a_off"]
    assert line.seeds == 3
    assert line.differences[0].mean_subset is not None
    assert line.differences[0].mean_subset.mean == pytest.approx(0.01)
    assert "0.830 (3 seeds)" in document(settled_cells(out, ()))


def test_runs_of_one_seed_with_other_masks_are_refused(out: Path) -> None:
    _record(out, Cell(SETTING, "a_off", 0.004, 0), 0.5, masks="others")
    with pytest.raises(ValueError, match="other masks"):
        lines(settled_cells(out, ()))


def test_the_page_shows_differences_reading_and_what_is_absent(out: Path) -> None:
    note_failure(Cell(SETTING, "rows", 0.004, 1000), out, "DataError: none")
    page = document(settled_cells(out, ()), "## What it says\n\nPlain loses.\n")
    assert "| sound_mnist | `plain` | 0.008 | 0.744 | 0.372 | `reference` | **-0.096 [-0.103, -0.089]** |" in page
    assert "fedmce 0.1.0, torch 2.13.0, numpy 2.4.6, python 3.11.7" in page
    assert page.index("Plain loses.") < page.index("## Overview")
    assert "from 33 run records" in page
    assert "* failed: `sound_mnist/rows/lr0.004-seed1000`." in page
    assert "* av_digits: not run: all arms." in page
    assert max(len(row.split("|")) for row in page.splitlines() if row.startswith("|")) <= 11


def test_a_page_without_runs_says_so() -> None:
    assert "not run: all arms" in document({})


def test_a_run_with_other_overrides_or_without_the_mark_is_not_finished(out: Path) -> None:
    cell = Cell(SETTING, "plain", 0.008, 0)
    assert read_cell(cell, out, ()) is not None
    assert read_cell(cell, out, ("rounds=3",)) is None
    (out / cell.key / "cell.json").unlink()
    assert read_cell(cell, out, ()) is None
    assert cell not in settled_cells(out, ())


def test_finished_cells_are_skipped_and_an_unfinished_one_is_tried_again(out: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")  # every cell that is run fails for want of data
    run = ([BY_NAME["plain"]], [SETTING], out, nowhere, (), 1)
    assert run_missing(*run, until=float("inf")) == []
    cell = Cell(SETTING, "plain", 0.008, 3)
    (out / cell.key / "cell.json").unlink()
    assert run_missing(*run, until=0.0) == []  # no time left
    assert run_missing(*run, until=float("inf")) == [cell.key]
    assert settled_cells(out, ())[cell] is None
    assert "DataError" in (out / cell.key / "failure.txt").read_text()
