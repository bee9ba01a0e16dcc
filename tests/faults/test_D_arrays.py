"""Group D, arrays of features: headers read by hand, values in windows."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedmce.folders import pass_values
from fedmce.folders.demands import Demands, Scale
from fedmce.folders.npy_header import NpyError, read_npy_header
from tests.faults.site_folders import Folder, expect, good_folder

Values = np.ndarray


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "site").write()


def _header(text: str, version: bytes = b"\x01\x00") -> bytes:
    raw = text.encode().ljust(117) + b"\n"
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(raw))
    return b"\x93NUMPY" + version + length + raw


def test_D36_array_missing(folder: Folder) -> None:
    folder.array("lab").unlink()
    expect(folder, "D36")


def test_an_array_without_samples_need_not_be_there(folder: Folder) -> None:
    folder.columns["lab"] = [None] * 60
    folder.write().array("lab").unlink()
    expect(folder, warns=["D33"])


@pytest.mark.parametrize(
    "dtype", ["object", "bool", "complex64", "int64", "uint16", "U3", "M8[ns]", [("a", "<f4"), ("b", "<f4")]], ids=str
)
def test_D37_type_that_is_not_read(folder: Folder, dtype: object) -> None:
    np.save(folder.array("lab"), np.zeros((45, 3), dtype=np.dtype(dtype)), allow_pickle=True)  # type: ignore[call-overload]
    expect(folder, "D37")


FIELDS = "{'descr': '<f4', 'fortran_order': False, 'shape': (45, 3), }"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1,2,3\n",
        b"\x80\x04\x95pickle",
        _header(FIELDS, b"\x03\x00"),
        _header(FIELDS, b"\x01\x01"),
        b"\x93NUMPY\x01\x00\xff\xff",
        _header("[" * 100),
        _header("(" * 110),
        _header("{'descr': '<f4', 'fortran_order': False, 'shape': (45, 3), 'more': 1}"),
        _header("{'descr': '<f4', 'fortran_order': 0, 'shape': (45, 3)}"),
        _header("{'descr': '<f4', 'fortran_order': False, 'shape': (45.0, 3)}"),
        _header("{'descr': '<f4', 'fortran_order': False, 'shape': (-45, -3)}"),
        _header("{'descr': 'O', 'fortran_order': False, 'shape': (45, 3)}"),
        _header("__import__('os').system('true')"),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_D37_no_npy(folder: Folder, raw: bytes) -> None:
    folder.array("lab").write_bytes(raw)
    expect(folder, "D37")


def test_D37_a_header_is_read_in_no_time_whatever_it_says(folder: Folder, tmp_path: Path) -> None:
    for text in ("[" * 60_000, "(" * 60_000 + ")" * 60_000, "'" * 60_000):
        folder.array("lab").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode())
        with pytest.raises(NpyError):
            read_npy_header(folder.array("lab"))


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda values: values.astype(">f4"), lambda values: values.astype(">f8")]
)
def test_D38_order_of_axes_or_bytes(folder: Folder, change: Callable[[Values], Values]) -> None:
    np.save(folder.array("lab"), change(folder.arrays["lab"]))
    expect(folder, "D38")


@pytest.mark.parametrize("cut", [-1, -12, -500, 1, 4096])
def test_D39_file_shorter_or_longer_than_its_header_says(folder: Folder, cut: int) -> None:
    path = folder.array("lab")
    raw = path.read_bytes()
    path.write_bytes(raw[:cut] if cut < 0 else raw + b"\0" * cut)
    (finding,) = expect(folder, "D39").errors
    assert f"{len(raw):,} bytes" in finding.allowed
    assert f"{len(raw) + cut:,} bytes" in finding.given


def test_D39_cut_off_within_the_header(folder: Folder) -> None:
    folder.array("lab").write_bytes(folder.array("lab").read_bytes()[:60])
    expect(folder, "D39")


@pytest.mark.parametrize("shape", [(40, 4, 4), (40, 1, 4, 5), (40, 16), (40,), (40, 3, 4, 4)], ids=str)
def test_D40_shape_unlike_site_yaml(folder: Folder, shape: tuple[int, ...]) -> None:
    np.save(folder.array("image"), np.random.default_rng(0).normal(size=shape).astype(np.float32))
    (finding,) = expect(folder, "D40").errors
    assert str(list(shape[1:])) in finding.given
    assert "[1, 4, 4]" in finding.allowed


@pytest.mark.parametrize("shape", [(0, 3), (45, 0), ()], ids=str)
def test_D41_array_without_rows(folder: Folder, shape: tuple[int, ...]) -> None:
    np.save(folder.array("lab"), np.zeros(shape, np.float32))
    expect(folder, "D41")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_D42_nan_or_infinity_in_a_row_that_is_used(folder: Folder, value: float) -> None:
    folder.arrays["image"][7, 0, 2, 1] = value
    (finding,) = expect(folder.write(), "D42").errors
    row = folder.columns["image"].index(7)
    assert f'row 7 of sample_id "p-{row:04d}" (row {row}): {value} at [0, 2, 1]' in finding.text()


def test_D42_what_float32_does_not_hold(folder: Folder) -> None:
    values = folder.arrays["image"].astype(np.float64)
    values[3, 0, 0, 0] = 1e39
    np.save(folder.array("image"), values)
    folder.site["modalities"]["image"]["dtype"] = "float64"
    folder.arrays.pop("image")
    expect(folder.write(), "D42")


def test_D42_holes_are_allowed_where_they_are_declared(folder: Folder) -> None:
    folder.arrays["lab"][5, 1] = np.nan
    folder.site["modalities"]["lab"]["holes"] = True
    expect(folder.write(), only=True)
    folder.arrays["lab"][5] = np.nan  # a sample of holes alone is an absence in disguise
    expect(folder.write(), "D42")
    folder.arrays["lab"][5] = (0, np.inf, 1)
    expect(folder.write(), "D42")


def test_D42_is_found_in_every_window(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_values, "WINDOW", 7 * 12)  # seven rows of three float32, with a rest
    for row in range(0, 45, 2):
        folder.arrays["lab"][row, row % 3] = np.nan
    (finding,) = expect(folder.write(), "D42").errors
    assert finding.count == 23
    assert len(finding.examples) == 20
    owner = folder.columns["lab"].index(30)  # of a row in a later window
    assert finding.examples[15].where == f'row 30 of sample_id "p-{owner:04d}" (row {owner})'
    folder.columns["lab"][owner] = None
    assert next(iter(expect(folder.write(), "D42", warns=["D43"]).errors)).count == 22


def test_D43_nan_where_nobody_points(folder: Folder) -> None:
    row = folder.columns["lab"].index(9)
    folder.columns["lab"][row] = None
    folder.arrays["lab"][9] = np.nan
    expect(folder.write(), warns=["D43"])


def test_D44_rows_of_zeros(folder: Folder) -> None:
    folder.arrays["lab"][[4, 8]] = 0
    (finding,) = expect(folder.write(), warns=["D44"], only=True).warnings
    assert finding.count == 2
    assert "row 4" in finding.text()


def test_D45_constant(folder: Folder) -> None:
    folder.arrays["lab"][:] = 3.5
    expect(folder.write(), warns=["D45"], only=True)


@pytest.mark.parametrize(("times", "plus"), [(255.0, 0.0), (1.0, 11.0), (1e-3, 0.0)])
def test_D46_scale_far_from_the_federation(
    folder: Folder, times: float, plus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_values, "WINDOW", 5 * 12)  # sums over several windows
    demands = Demands(scales={"lab": Scale(0.0, 1.0)})
    expect(folder, only=True, demands=demands)
    folder.arrays["lab"] = (folder.arrays["lab"] * times + plus).astype(np.float32)
    (finding,) = expect(folder.write(), warns=["D46"], only=True, demands=demands).warnings
    values = folder.arrays["lab"].astype(np.float64)
    assert f"mean {values.mean():.4g}, standard deviation {values.std():.4g}" == finding.given


def test_D47_integers_where_floats_are_declared(folder: Folder) -> None:
    folder.arrays["lab"] = np.random.default_rng(0).integers(1, 200, (45, 3)).astype(np.uint8)
    expect(folder.write(), warns=["D47"], only=True)
    folder.site["modalities"]["lab"]["dtype"] = "uint8"
    expect(folder.write(), only=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16", "int32"])
def test_every_allowed_type_is_clean(folder: Folder, dtype: str) -> None:
    folder.arrays["lab"] = np.random.default_rng(0).integers(1, 200, (45, 3)).astype(dtype)
    folder.site["modalities"]["lab"]["dtype"] = dtype
    expect(folder.write(), only=True)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_formats_of_npy_are_read(folder: Folder, version: tuple[int, int]) -> None:
    with folder.array("lab").open("wb") as file:
        np.lib.format.write_array(file, folder.arrays["lab"], version=version)
    expect(folder, only=True)


@pytest.mark.parametrize("window", [12, 40, 100, 540, 1 << 20])
def test_windows_hold_the_array_whatever_their_size(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(pass_values, "WINDOW", window)
    header = read_npy_header(folder.array("lab"))
    parts = [(start, part.copy()) for start, part in pass_values.windows(folder.array("lab"), header)]
    assert [start for start, _ in parts] == list(range(0, 45, max(1, min(45, window // 12))))
    assert np.array_equal(np.concatenate([part for _, part in parts]), folder.arrays["lab"])


def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_and_no_crash(folder: Folder) -> None:
    path = folder.array("lab")
    header = read_npy_header(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match="shorter"):
        list(pass_values.windows(path, header))
