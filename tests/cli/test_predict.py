"""``fedmce predict``: files that the model can take, files that it cannot, and what is written."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result
from typer.testing import CliRunner

import fedmce.predict.answers as answers
from fedmce.cli.app import app

SPEC: dict[str, Any] = {
    "modalities": [
        {"name": "image", "kind": "image", "shape": [1, 2, 2]},
        {"name": "blood", "kind": "tabular", "shape": [2]},
        {"name": "history", "kind": "tabular", "shape": [1]},
    ],
    "classes": ["no", "yes, ill"],
}


class FakeModel:
    """Says yes in proportion to the number of modalities that a row holds, half as often with completion."""

    spec = SPEC

    def predict(
        self,
        features: dict[str, npt.NDArray[np.float32]],
        available: npt.NDArray[np.bool_],
        use_completion: str | None = None,
    ) -> npt.NDArray[np.float64]:
        assert all(len(array) == len(available) for array in features.values())
        yes = available.sum(axis=1) / (4 if use_completion is None else 8)
        return np.stack([1 - yes, yes], axis=1)


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(answers, "load_model", lambda run: FakeModel())
    monkeypatch.chdir(tmp_path)


def predict(source: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["predict", "--model", "run", "--input", source, *more])


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def npz(**arrays: Any) -> Result:
    np.savez("in.npz", **arrays)
    return predict("in.npz")


def written(content: str) -> Result:
    Path("in.csv").write_text(content, encoding="utf-8")
    return predict("in.csv")


def test_each_row_gets_its_class_shares_and_the_modalities_it_holds() -> None:
    image = np.ones((3, 1, 2, 2))
    image[1] = np.nan
    done = npz(
        image=image,
        blood=np.array([[1, np.nan], [1, 2], [np.nan, np.nan]]),
        history=np.array([[np.nan], [np.nan], [3]]),
    )
    assert done.exit_code == 0, done.output
    rows = table(done.stdout)
    assert [row["modalities"] for row in rows] == ["image+blood", "blood", "image+history"]
    assert [row["sample_id"] for row in rows] == ["0", "1", "2"]
    assert list(rows[0]) == [
        "sample_id",
        "prediction",
        "probability",
        "probability_no",
        "probability_yes, ill",
        "modalities",
    ]
    assert [row["probability_yes, ill"] for row in rows] == ["0.500000", "0.250000", "0.500000"]
    assert rows[1]["prediction"] == "no"
    assert rows[1]["probability"] == "0.750000"


def test_availability_hides_values_that_are_there() -> None:
    available = np.array([[True, False, False], [False, True, False]])
    done = npz(image=np.ones((2, 1, 2, 2)), blood=np.ones((2, 2)), available=available, sample_ids=np.array(["a", "b"]))
    assert [(row["sample_id"], row["modalities"]) for row in table(done.stdout)] == [("a", "image"), ("b", "blood")]


def test_more_rows_than_one_chunk_keep_their_order() -> None:
    rows = 2 * answers.CHUNK_ROWS + 1
    done = npz(history=np.ones((rows, 1), dtype=np.int64), sample_ids=np.arange(rows))
    assert [row["sample_id"] for row in table(done.stdout)] == [str(row) for row in range(rows)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"imag": np.ones((1, 1, 2, 2))}, "did you mean 'image'?"),
        ({"image": np.ones((1, 2, 2))}, "image: shape (1, 2, 2) given; needed (rows, 1, 2, 2)"),
        ({"history": np.array(5.0)}, "history: shape () given"),
        ({"history": np.array([["x"]])}, "needed numbers"),
        ({"history": np.array([[1j]])}, "needed numbers"),
        ({"history": np.array([[None]])}, "without pickle"),
        ({"history": np.array([[1.0], [np.inf]])}, "history, row 2: infinite"),
        ({"history": np.array([[1e39]])}, "history, row 1: infinite or beyond float32"),
        ({"history": np.ones((1, 1)), "blood": np.ones((2, 2))}, "rows per modality"),
        ({"history": np.ones((0, 1))}, "no rows"),
        ({}, "no rows"),
        ({"history": np.array([[1.0], [np.nan]])}, "row 2 (1): nothing there"),
        ({"history": np.ones((1, 1)), "available": np.zeros((1, 3), bool)}, "row 1 (0): nothing there"),
        (
            {"history": np.ones((1, 1)), "available": np.ones((1, 3))},
            "available: float64 (1, 3) given; needed bool (1, 3)",
        ),
        ({"history": np.ones((1, 1)), "available": np.ones((1, 3), bool)}, "row 1: available says image is there"),
        ({"history": np.ones((2, 1)), "sample_ids": np.array(["a"])}, "sample_ids: 1 given; needed 2"),
        ({"history": np.ones((1, 1)), "sample_ids": np.array([0.5])}, "sample_ids: float64"),
    ],
)
def test_arrays_that_the_model_cannot_take_end_with_3(arrays: dict[str, Any], message: str) -> None:
    done = npz(**arrays)
    assert done.exit_code == 3, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_csv_may_leave_cells_and_whole_modalities_empty() -> None:
    done = written("sample_id,blood.1,blood.0,history.0\np1,1.5,,\np2,,, 7\n")
    assert done.exit_code == 0, done.output
    assert [(row["sample_id"], row["modalities"]) for row in table(done.stdout)] == [("p1", "blood"), ("p2", "history")]


def test_columns_arrive_at_their_index_in_any_order(tmp_path: Path) -> None:
    from fedmce.predict.samples import inputs
    from fedmce.predict.table import read_csv

    (tmp_path / "in.csv").write_text("blood.1,blood.0\n1.5,\n2,3\n")
    read = read_csv(tmp_path / "in.csv", inputs(SPEC))
    np.testing.assert_array_equal(read.features["blood"], np.array([[np.nan, 1.5], [3, 2]], np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "needed a header and at least one row"),
        ("history.0\n", "needed a header and at least one row"),
        ("history.0\nold\n", "row 1, column history.0: 'old' given; needed a number"),
        ("history.0,blood.0,blood.1\n1,2\n", "row 1: 2 cells given; needed 3"),
        ("history.1\n1\n", "column history.1: entry '1' given; needed 0 to 0"),
        ("blood.0\n1\n", "columns blood.1 lack"),
        ("image.0\n1\n", "image is not tabular; needed an .npz file"),
        ("histor.0\n1\n", "did you mean 'history'?"),
        ("history\n1\n", "columns are <modality>.<index>"),
        ("history.0,history.0\n1,1\n", "column history.0 is there twice"),
        ("sample_id,history.0\np1,1\np2,\n", "row 2 (p2): nothing there"),
        ("history.0\ninf\n", "history, row 1: infinite"),
        ("sample_id\np1\n", "no rows"),
    ],
)
def test_tables_that_the_model_cannot_take_end_with_3(content: str, message: str) -> None:
    done = written(content)
    assert done.exit_code == 3, done.output
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
def test_a_file_that_is_no_npz_ends_with_3(content: bytes) -> None:
    Path("in.npz").write_bytes(content)
    done = predict("in.npz")
    assert done.exit_code == 3, done.output


@pytest.mark.parametrize("source", ["in.txt", "absent.npz"])
def test_an_unknown_ending_or_absent_file_ends_with_3(source: str) -> None:
    assert predict(source).exit_code == 3


def test_output_goes_to_a_file_and_a_bad_place_ends_with_3() -> None:
    np.savez("in.npz", history=np.ones((1, 1)))
    assert predict("in.npz", "--output", "out.csv").stdout == ""
    assert len(table(Path("out.csv").read_text())) == 1
    assert predict("in.npz", "--output", "nowhere/out.csv").exit_code == 3


def test_completion_is_as_trained_unless_it_is_asked_for() -> None:
    np.savez("in.npz", image=np.ones((1, 1, 2, 2)))
    plain, asked = predict("in.npz"), predict("in.npz", "--use-completion", "full")
    shares = [float(table(done.stdout)[0]["probability_yes, ill"]) for done in (plain, asked)]
    assert shares == [0.25, 0.125]


def test_an_unknown_use_of_completion_is_refused_with_what_is_known() -> None:
    np.savez("in.npz", image=np.ones((1, 1, 2, 2)))
    done = predict("in.npz", "--use-completion", "ful")
    assert done.exit_code == 2
    assert "known are off, full, mean" in done.output
    assert "did you mean 'full'" in done.output
