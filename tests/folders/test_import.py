"""Tables and arrays become a folder: joined by id, absent where nothing was recorded, and nothing guessed in silence."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmce.config.folders import FoldersConfig
from fedmce.data import SiteRows
from fedmce.errors import ConfigError, DataError
from fedmce.folders.dataset import folders_dataset
from fedmce.folders.importing import Made, Wanted, import_site
from fedmce.folders.importing_parts import ArraySource

LABS = [
    ["pid", "age", "dose", "dx"],
    ["p1", "60", "1.5", "sick"],
    ["p2", "", "", "well"],
    ["p3", "50", "", "sick"],
    ["p4", "40", "2", ""],
    ["p5", "30", "3", "well"],
]


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    return table(tmp_path / "labs.csv", LABS)


def table(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def array(path: Path, values: Any, ids: list[str] | None = None) -> ArraySource:
    np.save(path, values)
    if ids is None:
        return ArraySource(path)
    names = path.with_name("ids_" + path.name)
    np.save(names, np.array(ids))
    return ArraySource(path, names)


def made(tmp_path: Path, **wanted: Any) -> Made:
    usual: dict[str, Any] = {"site": "north", "target": "dx", "id_column": "pid"}
    return import_site(tmp_path / "sites" / "north", Wanted(**usual | wanted))


def rows_of(tmp_path: Path) -> SiteRows:
    return folders_dataset(FoldersConfig.model_validate({"path": str(tmp_path / "sites")})).sites["north"]


def test_a_row_is_joined_by_its_id_and_absent_where_nothing_was_recorded(labs: Path, tmp_path: Path) -> None:
    values = np.arange(4 * 6, dtype=np.float32).reshape(4, 2, 3)
    values[1] = np.nan
    scan = array(tmp_path / "scan.npy", values, ["p5", "p1", "nobody", "p3"])
    found = made(tmp_path, tables={"labs": labs}, arrays={"scan": scan}, kinds={"scan": "image"})
    rows = rows_of(tmp_path)
    assert rows.sample_ids == ("p1", "p2", "p3", "p5")  # p4 has no target
    assert rows.available.tolist() == [[True, False], [False, False], [True, True], [True, True]]
    np.testing.assert_array_equal(rows.features["labs"], [[60, 1.5], [np.nan] * 2, [50, np.nan], [30, 3]])
    np.testing.assert_array_equal(rows.features["scan"][[2, 3], 0], values[[3, 0]])
    assert found.site.modalities["labs"].units == "age; dose"
    assert found.site.modalities["labs"].holes
    assert not found.site.modalities["scan"].holes
    assert found.held == {"labs": 3, "scan": 2}
    assert found.per_class == {"sick": 2, "well": 2}
    told = " ".join(found.notes)
    assert "1 samples without a target were left out" in told
    assert "scan.npy: 1 rows of ids without a target" in told
    assert "classes as found: sick, well" in told
    assert "1 rows hold no modality at all" in told


def test_numbers_sort_as_numbers_where_classes_are_not_named(tmp_path: Path) -> None:
    grades = table(tmp_path / "g.csv", [["pid", "x", "dx"], *[[f"p{n}", "1", str(n)] for n in (10, 9, 2)]])
    assert made(tmp_path, tables={"g": grades}).site.task.classes == ("2", "9", "10")


def test_a_site_that_lacks_a_class_gets_it_by_name(labs: Path, tmp_path: Path) -> None:
    found = made(tmp_path, tables={"labs": labs}, classes=("well", "sick", "dead"))
    assert rows_of(tmp_path).targets.tolist() == [1, 0, 1, 0]
    assert found.per_class == {"well": 2, "sick": 2, "dead": 0}


def test_shares_of_each_class_are_drawn_by_seed_and_a_column_of_splits_wins(tmp_path: Path) -> None:
    rows = [[f"p{n}", str(n), "ab"[n % 2], ("train", "validation", "test")[n % 3]] for n in range(60)]
    source = table(tmp_path / "t.csv", [["pid", "x", "dx", "part"], *rows])
    drawn = import_site(tmp_path / "one", Wanted("n", "dx", {"t": source}, id_column="pid", split_column="part"))
    assert drawn.rows == {"train": 20, "val": 20, "test": 20}
    assert drawn.site.modalities["t"].units == "x"
    splits = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        wanted = Wanted(
            "n",
            "dx",
            {"t": source},
            id_column="pid",
            test_share=0.2,
            validation_share=0.1,
            seed=seed,
            units={"t": "x and part"},
        )
        with pytest.raises(DataError, match=r"column 'part', row 1: 'train' is no number"):
            import_site(tmp_path / name, wanted)
        slim = table(tmp_path / "slim.csv", [["pid", "x", "dx"], *[row[:3] for row in rows]])
        found = import_site(tmp_path / name, Wanted(**{**wanted.__dict__, "tables": {"t": slim}}))
        assert found.rows == {"train": 42, "val": 6, "test": 12}
        assert found.site.modalities["t"].units == "x and part"
        splits.append((tmp_path / name / "samples.parquet").read_bytes())
    assert splits[0] == splits[1] != splits[2]


def test_targets_may_stand_in_a_table_of_their_own_and_arrays_in_its_order(tmp_path: Path) -> None:
    samples = table(tmp_path / "s.csv", [["pid", "dx"], ["b", "1"], ["a", "0"]])
    found = made(tmp_path, samples=samples, arrays={"x": array(tmp_path / "x.npy", np.array([[5.0], [6.0]], "f4"))})
    assert found.site.modalities["x"].kind == "tabular"
    rows = rows_of(tmp_path)
    assert (rows.sample_ids, rows.features["x"].ravel().tolist()) == (("b", "a"), [5.0, 6.0])


@pytest.mark.parametrize(
    ("values", "kind", "shape", "dtype", "axes"),
    [
        (np.zeros((2, 8, 8), "u1"), "image", (1, 8, 8), "uint8", (0, 1, 2)),
        (np.zeros((2, 8, 8), "f4"), None, (8, 8), "float32", (1,)),
        (np.zeros((2, 3, 8, 8), ">f4"), None, (3, 8, 8), "float32", (0, 1, 2)),
        (np.zeros((2, 5), "i8"), None, (5,), "float32", ()),
        (np.zeros((2, 5), "f8"), "series", (1, 5), "float64", (1,)),
        (np.zeros(2, "f2"), None, (1,), "float16", ()),
        (np.asfortranarray(np.zeros((2, 1, 4, 6), "f4")), "spectrogram", (1, 4, 6), "float32", (0, 2)),
    ],
)
def test_kind_and_shape_follow_from_the_array_or_are_told(
    values: np.ndarray, kind: str | None, shape: tuple[int, ...], dtype: str, axes: tuple[int, ...], tmp_path: Path
) -> None:
    samples = table(tmp_path / "s.csv", [["pid", "dx"], ["b", "1"], ["a", "0"]])
    source = array(tmp_path / "x.npy", values)
    found = made(tmp_path, samples=samples, arrays={"x": source}, kinds={"x": kind} if kind else {}).site.modalities[
        "x"
    ]
    assert (found.shape, found.dtype, found.pooled_axes) == (shape, dtype, axes)
    stored = np.load(tmp_path / "sites" / "north" / "features" / "x.npy")
    assert stored.flags.c_contiguous
    assert stored.dtype.isnative
    rows_of(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "neither a table nor an array given"),
        ({"tables": {"labs": "labs.csv"}, "target": "dxx"}, r"target: unknown column 'dxx'; .* did you mean 'dx'"),
        ({"tables": {"labs": "labs.csv"}, "id_column": "id"}, r"unknown column 'id'; .* name its column by --id"),
        ({"tables": {"labs": "none.csv"}}, "none.csv: no such file"),
        ({"tables": {"words": "words.csv"}}, r"column 'colour', row 1: 'red' is no number"),
        ({"tables": {"twice": "twice.csv"}}, r"needed one id per row, each once"),
        ({"tables": {"labs": "labs.csv"}, "site": "North"}, r"site: given 'North'"),
        ({"tables": {"target": "labs.csv"}}, r"modalities.target: a name that is taken"),
        ({"tables": {"labs": "labs.csv"}, "classes": ("sick", "dead")}, r"'well'; needed one of"),
        ({"tables": {"labs": "labs.csv"}, "arrays": {"x": "long.npy"}}, r"3 rows for 4 samples; needed as many"),
        ({"tables": {"labs": "labs.csv"}, "arrays": {"x": "labs.csv"}}, r"labs.csv: not readable"),
        ({"tables": {"labs": "labs.csv"}, "arrays": {"x": "five.npy"}}, r"one to three axes of a sample"),
    ],
)
def test_what_cannot_be_joined_or_read_is_named(
    wanted: dict[str, Any], message: str, labs: Path, tmp_path: Path
) -> None:
    table(tmp_path / "words.csv", [["pid", "colour", "dx"], ["a", "red", "0"], ["b", "1", "1"]])
    table(tmp_path / "twice.csv", [["pid", "x", "dx"], ["a", "1", "0"], ["a", "1", "1"]])
    np.save(tmp_path / "long.npy", np.zeros((3, 2)))
    np.save(tmp_path / "five.npy", np.zeros((4, 1, 1, 1, 2)))
    given = wanted | {"tables": {m: tmp_path / file for m, file in wanted.get("tables", {}).items()}}
    given["arrays"] = {m: ArraySource(tmp_path / file) for m, file in wanted.get("arrays", {}).items()}
    with pytest.raises(DataError, match=message):
        made(tmp_path, **given)
    out = tmp_path / "sites" / "north"
    assert not out.exists() or not any(out.iterdir())


def test_a_folder_with_content_is_left_alone(labs: Path, tmp_path: Path) -> None:
    made(tmp_path, tables={"labs": labs})
    before = {p: p.read_bytes() for p in (tmp_path / "sites").rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match="is there and not empty"):
        made(tmp_path, tables={"labs": labs})
    assert {p: p.read_bytes() for p in (tmp_path / "sites").rglob("*") if p.is_file()} == before
