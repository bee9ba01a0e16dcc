"""``fedmce matrix``: columns as typed, answers in three forms, and what is refused before anything is scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.cli.matrix import Column, columns
from fedmce.errors import ConfigError
from tests.matrix.made import saved_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    saved_run(folder / "imb", ["missingness=imbalanced", "seed=0"])
    saved_run(folder / "zero", ["method=fedavg_zero", "missingness=natural", "seed=0"])
    return folder


def matrix(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["matrix", str(folder / "imb"), str(folder / "zero"), *more])


def test_a_row_per_run_and_a_column_per_mechanism_each_with_its_own_keys(runs: Path) -> None:
    done = matrix(
        runs,
        *("--under", "natural", "--under", "low=imbalanced", "--under", "high=imbalanced"),
        *("--set", "low.rates={audio: 0.1}", "--set", "high.rates={audio: 0.9}", "--set", "missingness.draw=exact"),
        "--json",
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [Path(row["run"]).name for row in found["rows"]] == ["imb", "zero"]
    assert [row["trained_under"] for row in found["rows"]] == ["imbalanced", "natural"]
    shares = {label: scored["shares"] for label, scored in found["rows"][0]["scores"].items()}
    assert list(shares) == ["high", "low", "natural"]  # keys of JSON are sorted
    assert shares["natural"] == {"image+audio": 1.0}
    assert shares["low"]["image"] == pytest.approx(0.1, abs=0.01)
    assert shares["high"]["image"] == pytest.approx(0.9, abs=0.01)
    # Methods of one seed are scored under the same masks.
    one, other = ([s["masks_sha256"] for s in row["scores"].values()] for row in found["rows"])
    assert one == other


def test_without_columns_the_natural_gaps_and_the_run_s_own_mechanism_are_shown(runs: Path) -> None:
    found = json.loads(matrix(runs, "--json").stdout)
    first, second = (row["scores"] for row in found["rows"])
    assert first.keys() == second.keys() == {"natural", "own"}
    assert second["own"] == second["natural"] | {"under": "own"}
    assert first["own"]["shares"] != first["natural"]["shares"]


def test_a_protocol_stands_for_its_mechanism(runs: Path) -> None:
    found = json.loads(matrix(runs, "--under", "p1", "--under", "imbalanced", "--json").stdout)
    scores = found["rows"][0]["scores"]
    assert scores["p1"] == scores["imbalanced"] | {"under": "p1"}


def test_tables_csv_and_page_show_the_same_numbers(runs: Path, tmp_path: Path) -> None:
    shown = matrix(runs, "--under", "imbalanced", "--out", str(tmp_path / "m.csv"))
    assert shown.exit_code == 0, shown.output
    with (tmp_path / "m.csv").open() as file:
        lines = list(csv.DictReader(file))
    scores = [float(r["score"]) for r in lines if r["measure"] in ("as_available", "mean_over_sites", "deployed")]
    assert len(scores) == 6
    page = matrix(runs, "--under", "imbalanced", "--out", str(tmp_path / "m.html"))
    assert page.exit_code == 0, page.output
    text = (tmp_path / "m.html").read_text()
    for score in scores:
        assert f"{score:.3f}" in shown.stdout
        assert f"{score:.3f}" in text
    assert "the speech is synthetic" in shown.stdout
    assert "the speech is synthetic" in text
    assert shown.stdout.rstrip().endswith("m.csv")


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--under", "naturl"], 2, "unknown mechanism or protocol 'naturl'"),
        (["--under", "naturl"], 2, "did you mean 'natural'?"),
        (["--under", "imbalanced", "--set", "rats={audio: 0.1}"], 2, "did you mean 'missingness.rates'?"),
        (["--under", "imbalanced", "--set", "rates={audoi: 0.1}"], 2, "did you mean 'audio'?"),
        (["--under", "imbalanced", "--set", "rates={audio: 2}"], 2, "missingness.rates"),
        (["--under", "imbalanced", "--under", "imbalanced"], 2, "give each column a label: --under LABEL=imbalanced"),
        (["--under", "a b=imbalanced"], 2, "given the label 'a b'"),
        (["--set", "own.draw=exact"], 2, "--set own.draw=exact: own take no keys"),
        (["--set", "draw=exact"], 2, "natural and own take no keys"),
        (["--out", "m.txt"], 2, "ends in .csv or .html"),
        (["--use-completion", "ful"], 2, "did you mean 'full'?"),
        (["--out", "nowhere/m.csv"], 3, "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_with_the_nearest_name(
    runs: Path, more: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = matrix(runs, *more)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_a_folder_without_a_model_is_a_matter_of_data(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["matrix", str(tmp_path)])
    assert done.exit_code == 3
    assert "no loadable model" in done.stderr


def test_keys_go_to_the_column_they_name_else_to_all() -> None:
    found = columns(["imbalanced", "x=rare"], ["x.others=0.1", "bind=row", "missingness.draw=exact"])
    assert found == [
        Column("imbalanced", "imbalanced", ("bind=row", "draw=exact")),
        Column("x", "rare", ("others=0.1", "bind=row", "draw=exact")),
    ]


def test_all_problems_of_columns_come_in_one_message() -> None:
    with pytest.raises(ConfigError) as refused:
        columns(["naturl", "imbalancd"], [])
    assert str(refused.value).splitlines()[0] == "matrix: 2 problems"
