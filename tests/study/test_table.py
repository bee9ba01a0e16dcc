"""The tidy table and the other files."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from fedmce.study.output import findings, write_tables
from fedmce.study.table import scores
from tests.study.made import record, results, study

COLUMNS = ["study", "setting", "method", "seed", "subset", "site", "metric", "value"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = results(study(), {("easy", m): [0.5, 0.6, 0.7, 0.8] for m in ("ours", "plain")})
    made.records["easy", "ours", 0]["metrics"]["per_subset"]["audio"] = None
    write_tables(tmp_path, made, findings(made))
    return tmp_path


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_one_line_per_number_under_its_eight_columns(folder: Path) -> None:
    found = lines(folder)
    assert list(found[0])[:8] == COLUMNS
    keys = [tuple(line[c] for c in COLUMNS[:-1]) for line in found]
    assert len(set(keys)) == len(keys)
    assert len({line["seed"] for line in found}) == 4


@pytest.mark.parametrize(
    ("subset", "site", "metric", "value"),
    [
        ("", "", "mean_subset", "0.5"),
        ("image+audio", "", "accuracy", "0.6"),
        ("image", "north", "accuracy", "0.4"),
        ("image", "", "macro_f1", "0.2"),
        ("", "", "validation.mean_subset", "0.51"),
        ("", "", "bytes_up", "900.0"),
        ("", "", "seconds", "2.5"),
        ("audio", "", "accuracy", ""),
    ],
)
def test_every_kind_of_number_is_there(folder: Path, subset: str, site: str, metric: str, value: str) -> None:
    wanted = {"method": "ours", "seed": "0", "subset": subset, "site": site, "metric": metric}
    (line,) = [line for line in lines(folder) if all(line[key] == text for key, text in wanted.items())]
    assert line["value"] == value


def test_parquet_holds_the_same_table(folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "table.parquet").to_pylist()
    texts = lines(folder)
    assert len(rows) == len(texts)
    for row, line in zip(rows, texts, strict=True):
        assert list(row) == list(line)
        assert row["seed"] == int(line["seed"])
        assert (row["value"] is None) == (line["value"] == "")
        assert row["value"] is None or math.isclose(row["value"], float(line["value"]))


def test_numbers_that_a_later_version_adds_are_found_by_their_shape() -> None:
    made = record("easy", "ours", 0, 0.5)
    made["metrics"] |= {
        "equity": 0.25,
        "calibration": {"image": 0.1, "audio": 0.2},
        "worst_by_site": {"north": 0.3, "south": None},
        "subset_by_site": {"north": {"image": 0.7}},
        "learning": {"slope": 1.5, "note": "text"},
    }
    found = set(scores(made))
    assert ("", "", "equity", 0.25) in found
    assert ("audio", "", "calibration", 0.2) in found
    assert ("", "north", "worst_by_site", 0.3) in found
    assert ("image", "north", "subset_by_site", 0.7) in found
    assert ("", "", "learning.slope", 1.5) in found
    assert not [score for score in found if score[2] == "learning.note"]


def test_a_study_without_a_run_has_empty_tables_with_heads(tmp_path: Path) -> None:
    made = results(study(), {})
    write_tables(tmp_path, made, findings(made))
    assert (tmp_path / "table.csv").read_text().startswith("study,setting,method,seed")
    assert (tmp_path / "comparisons.csv").read_text().count("\n") == 1
    assert not list(tmp_path.glob("*.part"))
