"""A site folder as rows: absent is NaN and never zero, files decode as documented, what does not fit is named."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmce.config.folders import FoldersConfig
from fedmce.data import SiteRows
from fedmce.errors import DataError
from fedmce.folders.dataset import folders_dataset, site_dataset
from fedmce.folders.layout import SiteFile
from fedmce.folders.table import class_numbers, read_columns

TREE: dict[str, Any] = {
    "site": "north",
    "task": {"classes": ["low", "high"]},
    "modalities": {
        "image": {"kind": "image", "shape": [1, 2, 3]},
        "labs": {"kind": "tabular", "shape": [2], "dtype": "float64"},
    },
}
HEAD = ["sample_id", "target", "split", "image", "labs"]
ROWS = [
    ["a", "low", "train", "0", "1"],
    ["b", "high", "train", "", "0"],
    ["c", "1", "val", "1", ""],
    ["d", "low", "test", "", "2"],
    ["e", "", "test", "", "2"],
]


def folder(path: Path, rows: list[list[str]] | None = None, **changes: Any) -> Path:
    """A folder of five rows as CSV; ``changes`` are keys of site.yaml."""
    path.mkdir(parents=True)
    (path / "features").mkdir()
    SiteFile.from_tree(TREE | changes).write(path)
    np.save(path / "features" / "image.npy", np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3))
    np.save(path / "features" / "labs.npy", np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    with (path / "samples.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *(ROWS if rows is None else rows)])
    return path


def read(path: Path) -> SiteRows:
    return folders_dataset(FoldersConfig.model_validate({"path": str(path.parent)})).sites["north"]


def test_an_empty_cell_is_an_absence_and_row_numbers_point_into_the_array(tmp_path: Path) -> None:
    rows = read(folder(tmp_path / "n"))
    assert rows.sample_ids == ("a", "b", "c", "d")  # a test row without a target cannot be scored
    assert rows.targets.tolist() == [0, 1, 1, 0]
    assert rows.split.tolist() == ["train", "train", "validation", "test"]
    assert rows.available.tolist() == [[True, True], [False, True], [True, False], [False, True]]
    assert rows.features["labs"].dtype == np.float32
    np.testing.assert_array_equal(rows.features["labs"], [[3, 4], [1, 2], [np.nan, np.nan], [5, 6]])
    assert rows.features["image"][2].ravel().tolist() == [6, 7, 8, 9, 10, 11]
    assert np.isnan(rows.features["image"][1]).all()


def test_the_same_table_as_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = read(folder(tmp_path / "one" / "n"))
    path = folder(tmp_path / "two" / "n")
    columns = read_columns(path / "samples.csv")
    numbers = {m: [None if c is None else float(c) for c in columns[m]] for m in ("image", "labs")}
    pq.write_table(pa.table(columns | numbers), path / "samples.parquet")  # as pandas writes gaps in whole numbers
    (path / "samples.csv").unlink()
    again = read(path)
    assert again.sample_ids == first.sample_ids
    np.testing.assert_array_equal(again.available, first.available)
    for name in first.features:
        np.testing.assert_array_equal(again.features[name], first.features[name])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["x", "low", "train", "7", ""], r"image.npy: row number 7 given; needed 0 to 1"),
        (["x", "low", "train", "-1", ""], r"'image', row 5: '-1'; needed a row number from 0"),
        (["x", "low", "train", "0.5", ""], r"'image', row 5"),
        (["x", "low", "train", "x.npy", ""], r"'image': row numbers and paths in one column"),
        (["x", "middle", "train", "", "0"], r"'target', row 5: 'middle'; needed one of"),
        (["x", "2", "train", "", "0"], r"'target', row 5: '2'; needed one of"),
        (["x", "", "train", "", "0"], r"'target', row 5: empty"),
        (["x", "low", "dev", "", "0"], r"'split', row 5: 'dev'; needed one of train, val, test"),
        (["a", "low", "train", "", "0"], r"'sample_id': needed one text per row, each once"),
        (["x", "low", "train", "", "0", "extra"], r"line 7 has not the 5 cells of the header"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(row: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(folder(tmp_path / "n", [*ROWS, row]))


def test_nan_in_a_sample_that_is_there_is_a_hole_only_where_the_site_says_so(tmp_path: Path) -> None:
    holes = {**TREE["modalities"], "labs": TREE["modalities"]["labs"] | {"holes": True}}
    for number, modalities in enumerate((TREE["modalities"], holes)):
        path = folder(tmp_path / str(number) / "n", modalities=modalities)
        np.save(path / "features" / "labs.npy", np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 6.0]]))
        if number:
            assert np.isnan(read(path).features["labs"][1]).tolist() == [False, True]
            continue
        with pytest.raises(DataError, match=r"sample 'b': nan at \[1\]; needed finite numbers"):
            read(path)


def test_an_infinite_entry_is_refused_even_if_it_came_by_the_cast(tmp_path: Path) -> None:
    path = folder(tmp_path / "n")
    np.save(path / "features" / "labs.npy", np.array([[1.0, 1e300], [3.0, 4.0], [5.0, 6.0]]))
    with pytest.raises(DataError, match=r"sample 'b': inf"):
        read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p / "samples.csv").unlink(), r"no samples.parquet or samples.csv"),
        (lambda p: (p / "features" / "labs.npy").unlink(), r"labs.npy: not readable"),
        (lambda p: np.save(p / "features" / "labs.npy", np.zeros((3, 5))), r"labs.npy: float64 \(3, 5\); needed"),
        (lambda p: np.save(p / "features" / "labs.npy", np.array([[None, 1]] * 3), allow_pickle=True), r"not readable"),
        (lambda p: (p / "samples.csv").write_text("sample_id,target\n"), r"unknown column 'split'"),
    ],
)
def test_a_file_that_is_absent_or_of_another_kind_is_named(change: Any, message: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "n")
    change(path)
    with pytest.raises(DataError, match=message):
        read(path)


def test_class_numbers_follow_from_the_names_alone() -> None:
    assert class_numbers(["b", "0", 1, 1.0], ["a", "b"], "t").tolist() == [1, 0, 1, 1]
    # Where a name is a whole number, a cell is a name: else 1 would mean one class here and another there.
    assert class_numbers(["1", 2], ["1", "2"], "t").tolist() == [0, 1]
    with pytest.raises(DataError, match="'0'; needed one of 1, 2"):
        class_numbers(["0"], ["1", "2"], "t")


def test_sites_that_disagree_are_all_named(tmp_path: Path) -> None:
    folder(tmp_path / "n")
    labs = {"labs": {"kind": "tabular", "shape": [2], "dtype": "float64", "units": "other"}}
    folder(tmp_path / "s", [], site="south", task={"classes": ["high", "low"]}, modalities=labs)
    with pytest.raises(DataError, match=r"site south, task.classes: .*modalities.labs.units: 'other'; site north has"):
        read(tmp_path / "n")


def test_a_modality_that_a_site_does_not_declare_is_absent_in_all_of_its_rows(tmp_path: Path) -> None:
    folder(tmp_path / "n")
    only = [[*row[:3], row[4]] for row in ROWS]
    path = folder(tmp_path / "a", only, site="a-first", modalities={"labs": TREE["modalities"]["labs"]})
    with (path / "samples.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sample_id", "target", "split", "labs"], *only])
    data = folders_dataset(FoldersConfig.model_validate({"path": str(tmp_path)}))
    assert [m.name for m in data.modalities] == ["labs", "image"]  # first seen at a-first, then at north
    assert data.sites["a-first"].available.tolist() == [[True, False], [True, False], [False, False], [True, False]]


def test_a_site_sees_its_own_rows_in_the_order_of_the_plan_and_no_other_s(tmp_path: Path) -> None:
    path = folder(tmp_path / "n")
    plan = [
        {"name": name, **{k: v for k, v in TREE["modalities"][name].items() if k != "dtype"}}
        for name in ("labs", "image")
    ]
    section = FoldersConfig.model_validate({"modalities": plan, "classes": ["low", "high"]})
    data = site_dataset(path, section, ("east", "north"))
    assert [m.name for m in data.modalities] == ["labs", "image"]
    assert [len(site.sample_ids) for site in data.sites.values()] == [0, 4]
    assert data.sites["north"].available[1].tolist() == [True, False]
    short = FoldersConfig.model_validate({"modalities": plan[:1], "classes": ["low", "high"]})
    with pytest.raises(DataError, match=r"modalities.image: not in the plan; known are labs"):
        site_dataset(path, short, ("north",))
