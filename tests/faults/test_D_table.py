"""Group D, the table of samples: header, names, splits, targets, cells, counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedmce.config.privacy import PrivacyConfig
from fedmce.folders import columns
from fedmce.folders.demands import Demands
from tests.faults.site_folders import TYPES, Folder, expect, good_folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "site")


def _rows(folder: Folder, split: str, name: str | None = None) -> list[int]:
    """Rows of a split, that hold a modality if one is given."""
    return [
        row
        for row, own in enumerate(folder.columns["split"])
        if own == split and (name is None or folder.columns[name][row] is not None)
    ]


def test_D10_no_modality_declared(folder: Folder) -> None:
    folder.site["modalities"] = {}
    expect(folder.write(), "D10")


def test_D10_no_row_holds_a_modality(folder: Folder) -> None:
    for name in folder.site["modalities"]:
        folder.columns[name] = pa.nulls(60, pa.int64())
    expect(folder.write(), "D10", warns=["D32"])


def test_D12_no_table(folder: Folder) -> None:
    folder.write().table.unlink()
    expect(folder, "D12")


def test_D12_two_tables_warn(folder: Folder) -> None:
    folder.write()
    (folder.path / "samples.csv").write_text("sample_id\n")
    expect(folder, warns=["D12"], only=True)


@pytest.mark.parametrize("case", ["cut off", "empty", "text", "no footer", "encrypted", "lz4", "brotli", "long footer"])
def test_D13_table_cannot_be_read(folder: Folder, case: str) -> None:
    table = folder.write().table
    raw = table.read_bytes()
    if case in ("lz4", "brotli"):
        folder.write_table(compression=case)
    else:
        table.write_bytes(
            {
                "cut off": raw[: len(raw) // 2],
                "empty": b"",
                "text": b"sample_id,target\n1,2\n",
                "no footer": raw[:-8] + b"\0" * 4 + raw[-4:],
                "encrypted": b"PARE" + raw[4:-4] + b"PARE",
                "long footer": raw[:-8] + b"\xff\xff\xff\x7f" + raw[-4:],
            }[case]
        )
    (finding,) = expect(folder, "D13").errors
    if case in ("cut off", "encrypted"):
        assert case in finding.given


@pytest.mark.parametrize("text", ["", "sample_id;target;split\n", "sample_id,target,split\na,0\n", b"sample_id,\xff\n"])
def test_D13_csv_cannot_be_read(folder: Folder, text: str | bytes) -> None:
    folder.write().table.unlink()
    (folder.path / "samples.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    expect(folder, "D13")


def test_D13_text_that_is_no_utf8(folder: Folder) -> None:
    ids = [f"p-{row}".encode() for row in range(60)]
    ids[7] = b"p\xff7"
    binary = pa.array(ids, pa.binary())
    folder.columns["sample_id"] = pa.Array.from_buffers(pa.string(), 60, binary.buffers())
    assert "row 7" in expect(folder.write(), "D13").errors[0].text()


@pytest.mark.parametrize("name", ["sample_id", "target", "split", "image", "scan"])
def test_D14_column_missing(folder: Folder, name: str) -> None:
    folder.write()
    del folder.columns[name]
    folder.write_table()
    expect(folder, "D14")


def test_D14_names_the_column_that_is_near(folder: Folder) -> None:
    folder.columns["imgage"] = folder.columns.pop("image")
    assert "rename 'imgage'" in expect(folder.write(), "D14").errors[0].fix


@pytest.mark.parametrize(("old", "new"), [("image", "Image"), ("split", "SPLIT"), ("sample_id", "Sample_ID")])
def test_D15_name_in_other_case(folder: Folder, old: str, new: str) -> None:
    folder.columns[new] = folder.columns.pop(old)
    if old in TYPES:
        folder.columns[new] = pa.array(folder.columns[new], TYPES[old])
    assert repr(old) in expect(folder.write(), "D15").errors[0].fix


def test_D15_name_in_other_case_beside_the_right_one(folder: Folder) -> None:
    folder.columns["Image"] = folder.columns["image"]
    expect(folder.write(), "D15")


def test_D15_name_twice(folder: Folder) -> None:
    folder.write()
    table = pq.read_table(folder.table)
    pq.write_table(table.append_column("lab", table["lab"]), folder.table)
    expect(folder, "D15")


def test_D15_further_columns_are_one_warning(folder: Folder) -> None:
    folder.columns.update(age=list(range(60)), ward=["a"] * 60)
    report = expect(folder.write(), warns=["D15"], only=True)
    assert "age, ward" in report.warnings[0].given


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("image", [0.5] * 60),
        ("image", [float("inf")] + [None] * 59),
        ("image", [True] * 60),
        ("image", [[1]] * 60),
        ("image", [str(row) for row in range(60)]),
        ("target", ["ill", "well"] * 30),
        ("target", [0.5, 1.0] * 30),
        ("target", [True, False] * 30),
        ("split", [0] * 60),
        ("sample_id", [row + 0.5 for row in range(60)]),
    ],
    ids=lambda value: str(value)[:24],
)
def test_D16_type_of_a_column(folder: Folder, name: str, cells: list[Any]) -> None:
    folder.columns[name] = pa.array(cells)
    if name == "image":
        folder.arrays["image"] = (
            np.ones((60, 1, 4, 4), np.float32) + np.arange(60, dtype=np.float32)[:, None, None, None]
        )
    expect(folder.write(), "D16")


def test_D16_doubles_that_are_whole_numbers_are_what_pandas_writes(folder: Folder) -> None:
    folder.columns["image"] = pa.array(folder.columns["image"], pa.float64())
    folder.columns["target"] = pa.array(folder.columns["target"], pa.float64())
    expect(folder.write(), warns=["D16"], only=True)


@pytest.mark.parametrize("number", [5000, 40, -2, 1 << 40])
def test_D17_row_number_outside_the_array(folder: Folder, number: int) -> None:
    folder.columns["image"][3] = number
    (finding,) = expect(folder.write(), "D17").errors
    assert finding.text().splitlines()[0] == (
        f'D17 samples.parquet, column "image", sample_id "p-0003" (row 3): row number {number}'
    )
    assert finding.allowed == "0 to 39 (features/image.npy has 40 rows), or empty for absent"


def test_D17_row_number_that_no_int64_holds(folder: Folder) -> None:
    cells = [None if cell is None else cell for cell in folder.columns["image"]]
    cells[3] = (1 << 64) - 1
    folder.columns["image"] = pa.array(cells, pa.uint64())
    expect(folder.write(), "D17")


def test_D18_row_numbers_and_paths_in_one_column(folder: Folder) -> None:
    rows = _rows(folder, "train", "scan")
    folder.columns["scan"][rows[0]] = "17"
    (finding,) = expect(folder.write(), "D18").errors
    assert f"(row {rows[0]})" in finding.text()


def test_D18_in_csv(folder: Folder) -> None:
    folder.columns["image"][3] = "scans/1.png"
    expect(folder.write(as_csv=True), "D18")


@pytest.mark.parametrize("word", [-1, "", "None", "nan", "NULL", " "])
def test_D19_absence_in_words_or_as_minus_one(folder: Folder, word: object) -> None:
    name = "image" if word == -1 else "scan"
    folder.columns[name][2] = word
    held = sum(cell is not None for cell in folder.columns[name])
    report = expect(folder.write(), "D19")
    assert "row 2" in report.errors[0].text()
    assert report.counts is not None
    assert sum(report.counts.held[name].values()) == held - 1


@pytest.mark.parametrize("word", [-1, "None", "nan"])
def test_D19_in_csv(folder: Folder, word: object) -> None:
    folder.columns["lab"][1] = word
    expect(folder.write(as_csv=True), "D19")


def test_D19_nan_is_read_as_empty_with_a_warning(folder: Folder) -> None:
    cells = [np.nan if cell is None else float(cell) for cell in folder.columns["image"]]
    folder.columns["image"] = pa.array(np.array(cells))
    report = expect(folder.write(), warns=["D16", "D19"], only=True)
    assert report.counts is not None
    assert sum(report.counts.held["image"].values()) == 40


def test_D19_one_row_number_in_many_rows_may_stand_for_nothing(folder: Folder) -> None:
    for row in _rows(folder, "train"):
        if folder.columns["image"][row] is None:
            folder.columns["image"][row] = 0
    expect(folder.write(), warns=["D19", "D23"], only=True)


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_D20_sample_id_empty(folder: Folder, blank: str | None) -> None:
    folder.columns["sample_id"][5] = blank
    expect(folder.write(), "D20")


def test_D21_sample_id_twice_in_one_split(folder: Folder) -> None:
    first, second = _rows(folder, "train")[:2]
    folder.columns["sample_id"][second] = folder.columns["sample_id"][first]
    (finding,) = expect(folder.write(), "D21").errors
    assert f"(row {second}): again in train, first in row {first}" in finding.text()


def test_D22_sample_id_in_two_splits(folder: Folder) -> None:
    train, test = _rows(folder, "train")[0], _rows(folder, "test")[0]
    folder.columns["sample_id"][test] = folder.columns["sample_id"][train]
    (finding,) = expect(folder.write(), "D22").errors
    assert "in test, and in train" in finding.text()


@pytest.mark.parametrize("name", ["image", "scan"])
def test_D23_two_samples_share_a_row_of_features(folder: Folder, name: str) -> None:
    first, second = _rows(folder, "train", name)[:2]
    folder.columns[name][second] = folder.columns[name][first]
    expect(folder.write(), warns=["D23"], only=True)
    folder.site["shared_rows"] = True
    expect(folder.write(), only=True)


@pytest.mark.parametrize("name", ["image", "scan"])
@pytest.mark.parametrize("shared", [True, False])
def test_D24_two_splits_share_a_row_of_features(folder: Folder, name: str, shared: bool) -> None:
    train, test = _rows(folder, "train", name)[0], _rows(folder, "test", name)[0]
    folder.columns[name][test] = folder.columns[name][train]
    folder.site["shared_rows"] = shared
    expect(folder.write(), "D24", warns=[] if shared else ["D23"])


@pytest.mark.parametrize(
    ("word", "meant"), [("Train", "train"), ("validation", "val"), (" test", "test"), ("trian", "train")]
)
def test_D25_unknown_split(folder: Folder, word: str, meant: str) -> None:
    folder.columns["split"][0] = word
    assert f"to {meant!r}" in expect(folder.write(), "D25").errors[0].fix


def test_D25_split_empty(folder: Folder) -> None:
    folder.columns["split"][0] = None
    expect(folder.write(), "D25")


def test_D26_no_train_rows(folder: Folder) -> None:
    folder.columns["split"] = ["val", "test"] * 30
    expect(folder.write(), "D26")


def test_D26_fewer_train_rows_than_could_ever_be_released(folder: Folder) -> None:
    folder.site["release"]["min_rows"] = 37
    expect(folder.write(), "D26", warns=["D34"])
    folder.site["release"] = {}
    expect(folder.write(), "D26", demands=Demands(floors=PrivacyConfig(min_rows=37, min_rows_dense=37)))


def test_D27_too_few_rows_held_out(folder: Folder) -> None:
    expect(folder.write(), "D27", demands=Demands(held_out=0.25))  # 9 of 36
    expect(folder, only=True, demands=Demands(held_out=0.28))
    expect(folder, only=True)


@pytest.mark.parametrize("split", ["train", "val"])
def test_D28_target_empty(folder: Folder, split: str) -> None:
    folder.columns["target"][_rows(folder, split)[0]] = None
    expect(folder.write(), "D28")


def test_a_test_row_needs_no_target(folder: Folder) -> None:
    folder.columns["target"][_rows(folder, "test")[0]] = None
    expect(folder.write(), only=True)


@pytest.mark.parametrize(
    ("targets", "hint"), [([0, 2], "there are gaps"), ([1, 2], "1-based"), ([-1, 0], "from 0 to 1"), ([7, 9], "gaps")]
)
def test_D29_class_number_out_of_range(folder: Folder, targets: list[int], hint: str) -> None:
    folder.columns["target"] = targets * 30
    assert hint in expect(folder.write(), "D29").errors[0].fix


def test_names_of_classes_are_targets_too(folder: Folder) -> None:
    folder.columns["target"] = pa.array(["benign", "malignant"] * 30)
    expect(folder.write(), only=True)
    folder.site["task"]["classes"] = ["3", "7"]
    folder.columns["target"] = [3, 7] * 30
    expect(folder.write(), only=True)


def test_D30_one_class_only(folder: Folder) -> None:
    folder.columns["target"] = [1] * 60
    report = expect(folder.write(), warns=["D30"], only=True)
    assert "malignant" in report.warnings[0].given


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.1e6, -2e6])
def test_D31_regression_target(folder: Folder, value: float) -> None:
    folder.site["task"] = {"kind": "regression"}
    targets = np.linspace(-1e6, 1e6, 60)
    folder.columns["target"] = pa.array(targets)
    expect(folder.write(), only=True)
    targets[4] = value
    folder.columns["target"] = pa.array(targets)
    (finding,) = expect(folder.write(), "D31").errors
    assert "(row 4)" in finding.text()


def test_D28_regression_target_empty_and_D16_in_words(folder: Folder) -> None:
    folder.site["task"] = {"kind": "regression"}
    folder.columns["target"] = pa.array([None, 0.5] * 30)
    expect(folder.write(), "D28")
    folder.columns["target"] = pa.array(["high", "low"] * 30)
    expect(folder.write(), "D16")
    folder.columns["target"] = pa.array(["1.5", "low"] * 30)
    expect(folder.write(), "D64")


def test_D32_row_without_any_modality(folder: Folder) -> None:
    for name in ("image", "lab", "scan"):
        folder.columns[name][8] = None
    report = expect(folder.write(), warns=["D32"], only=True)
    assert report.counts is not None
    assert report.counts.patterns["nothing"] == {"train": 0, "val": 1, "test": 0}


def test_D33_declared_but_never_present(folder: Folder) -> None:
    folder.columns["scan"] = pa.nulls(60)
    expect(folder.write(), warns=["D33"])


def test_D33_every_row_holds_everything(folder: Folder) -> None:
    for name in ("image", "lab"):
        folder.arrays[name] = (
            np.random.default_rng(0).normal(size=(60, *folder.arrays[name].shape[1:])).astype(np.float32)
        )
        folder.columns[name] = list(range(60))
    del folder.columns["scan"], folder.site["modalities"]["scan"]
    expect(folder.write(), warns=["D33"], only=True)


@pytest.mark.parametrize("release", [{"min_rows": 4}, {"k_min": 4}, {"k_min": 4, "min_rows": 2}], ids=str)
def test_D34_rows_of_a_modality_below_the_floor(folder: Folder, release: dict[str, int]) -> None:
    folder.site["release"] = release
    rows = _rows(folder, "train", "scan")
    for row in rows[3:]:
        folder.columns["scan"][row] = None
        folder.columns["lab"][row] = folder.columns["lab"][row]
    report = expect(folder.write(), warns=["D34"])
    assert any("3 train rows" in finding.given for finding in report.warnings)


def test_D35_rare_patterns(folder: Folder) -> None:
    row = _rows(folder, "train", "lab")[0]
    folder.columns["lab"][row] = None
    folder.site["release"]["k_min"] = 5
    report = expect(folder.write(), warns=["D35"])
    assert "other" in report.warnings[0].fix


def test_D59_table_too_large(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_ROWS", 59)
    expect(folder.write(), "D59")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("target", ["0", "1", "malignant"] * 20),
        ("target", [b"0", b"1"] * 30),
        ("split", ["train", "val", "1"] * 20),
        ("split", [b"train", b"val"] * 30),
    ],
    ids=str,
)
def test_D64_mixed_types(folder: Folder, name: str, cells: list[object]) -> None:
    folder.columns[name] = pa.array(cells)
    expect(folder.write(), "D64")


def test_at_most_twenty_examples_and_then_a_count(folder: Folder) -> None:
    folder.columns["image"] = [number and number + 1000 for number in folder.columns["image"]]
    (finding,) = expect(folder.write(), "D17").errors
    assert len(finding.examples) == 20
    assert finding.count == 39
    assert finding.text().splitlines()[1].endswith("; 19 more")


def test_names_in_the_table_cannot_write_to_the_terminal(folder: Folder) -> None:
    folder.columns["sample_id"][3] = "p\x1b[2J\n\u202e"
    folder.columns["image"][3] = 5000
    text = expect(folder.write(), "D17").errors[0].text()
    assert "p\\x1b[2J\\n\\u202e" in text


def test_a_csv_says_the_same_as_a_parquet_table(folder: Folder) -> None:
    parquet = expect(folder.write(), only=True)
    folder.write_csv()
    csv = expect(folder, only=True)
    assert csv.counts == parquet.counts
    path = folder.path / "samples.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert expect(folder, only=True).counts == parquet.counts


def test_counts_are_those_that_one_counts_by_hand(folder: Folder) -> None:
    names = tuple(folder.site["modalities"])
    counts = expect(folder.write(), only=True).counts
    assert counts is not None
    by_hand: dict[str, dict[str, int]] = {}
    for row, split in enumerate(folder.columns["split"]):
        pattern = "+".join(name for name in names if folder.columns[name][row] is not None)
        by_hand.setdefault(pattern, {"train": 0, "val": 0, "test": 0})[split] += 1
    assert counts.patterns == by_hand
    assert list(counts.patterns) == sorted(by_hand, key=lambda name: -sum(by_hand[name].values()))
    for name in names:
        rows = sum(cell is not None for cell in folder.columns[name])
        assert sum(counts.held[name].values()) == rows
        assert counts.missing[name] == pytest.approx(1 - rows / 60)
    assert counts.classes == {name: {"train": 18, "val": 6, "test": 6} for name in ("benign", "malignant")}
