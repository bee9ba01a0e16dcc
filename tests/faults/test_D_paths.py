"""Group D, files of single samples: where they lie, and whether they decode."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fedmce.folders.check import check_folder
from fedmce.folders.demands import Demands
from tests.faults.site_folders import Folder, expect, good_folder, png
from tests.faults.test_D_yaml import without_rights  # noqa: F401  # fixture


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "site")


@pytest.fixture
def scan(folder: Folder) -> Iterator[Path]:
    """One of the files, once the folder is written."""
    folder.write()
    return folder.path / "scans" / "5.png"


def _point(folder: Folder, path: str) -> None:
    folder.columns["scan"][5] = path
    folder.write()


@pytest.mark.parametrize("path", ["../secret.png", "scans/../../secret.png", "/etc/hostname", "scans/../scans/5.png"])
def test_D11_path_that_leaves_the_folder(folder: Folder, path: str) -> None:
    (folder.path.parent / "secret.png").write_bytes(png(np.ones((5, 6))))
    _point(folder, path)
    expect(folder, "D11")


@pytest.mark.parametrize("what", ["file", "directory", "array", "table", "site.yaml"])
def test_D11_link_that_leaves_the_folder(folder: Folder, what: str) -> None:
    folder.write()
    places = {"file": "scans/5.png", "directory": "scans", "array": "features/lab.npy", "table": "samples.parquet"}
    inside = folder.path / places.get(what, what)
    outside = folder.path.parent / "elsewhere"
    inside.rename(outside)
    inside.symlink_to(outside)
    assert "allow_links" in expect(folder, "D11").errors[0].fix
    folder.site["allow_links"] = True
    text = (folder.path / "site.yaml").read_text()
    (folder.path / "site.yaml").write_text(text.replace("allow_links: false", "allow_links: true"))
    expect(folder, only=True)


def test_a_link_within_the_folder_is_fine(folder: Folder, scan: Path) -> None:
    scan.rename(folder.path / "moved.png")
    scan.symlink_to("../moved.png")
    expect(folder, only=True)


def test_a_folder_may_be_given_by_a_link(folder: Folder, tmp_path: Path) -> None:
    folder.write()
    (tmp_path / "link").symlink_to(folder.path)
    expect(tmp_path / "link", only=True)


def test_D48_file_missing(folder: Folder, scan: Path) -> None:
    scan.unlink()
    (finding,) = expect(folder, "D48").errors
    assert 'sample_id "p-0005" (row 5)' in finding.text()


def test_D48_counts_every_path_once(folder: Folder) -> None:
    for name in list(folder.files):
        del folder.files[name]
    (finding,) = expect(folder.write(), "D48").errors
    assert finding.count == 15


@pytest.mark.parametrize("what", ["folder", "fifo", "socket"])
def test_D49_no_regular_file(folder: Folder, scan: Path, what: str) -> None:
    scan.unlink()
    if what == "folder":
        scan.mkdir()
    elif what == "fifo":
        os.mkfifo(scan)  # opening it would wait for ever
    else:
        here = os.open(".", os.O_RDONLY)
        os.chdir(scan.parent)  # names of sockets are short
        try:
            socket.socket(socket.AF_UNIX).bind(scan.name)
        finally:
            os.fchdir(here)
            os.close(here)
    expect(folder, "D49")


@pytest.mark.parametrize("name", ["scans/5.png", "features/lab.npy", "samples.parquet", "site.yaml"])
def test_D50_file_not_readable(without_rights: Path, name: str) -> None:  # noqa: F811
    folder = good_folder(without_rights / "site").write()
    (folder.path / name).chmod(0o000)
    report = check_folder(folder.path)
    assert [finding.case for finding in report.errors] == ["D50"], report.text()
    assert str(os.geteuid()) in report.errors[0].fix


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"text"])
def test_D51_file_does_not_decode(folder: Folder, scan: Path, content: bytes) -> None:
    scan.write_bytes(content)
    (finding,) = expect(folder, "D51").errors
    assert "scans/5.png" in finding.given


def test_D51_file_is_cut_off(folder: Folder, scan: Path) -> None:
    big = png(np.random.default_rng(0).integers(0, 255, (5, 6)))
    scan.write_bytes(big[: len(big) // 2])
    expect(folder, "D51")


def test_D51_kind_of_file_that_nobody_reads(folder: Folder) -> None:
    folder.files["scans/5.txt"] = b"1 2 3"
    _point(folder, "scans/5.txt")
    expect(folder, "D51")


@pytest.mark.parametrize("shape", [(6, 5), (10, 12)], ids=str)
def test_D52_decoded_shape(folder: Folder, scan: Path, shape: tuple[int, int]) -> None:
    scan.write_bytes(png(np.random.default_rng(0).integers(1, 255, shape)))
    (finding,) = expect(folder, "D52").errors
    assert str([1, *shape]) in finding.given
    assert "[1, 5, 6]" in finding.allowed
    folder.site["modalities"]["scan"]["fit"] = "resize"
    folder.files["scans/5.png"] = scan.read_bytes()
    expect(folder.write(), only=True)


def test_D53_decompression_bomb(folder: Folder, scan: Path) -> None:
    scan.write_bytes(png(np.zeros((4000, 4000))))
    (finding,) = expect(folder, "D53", demands=Demands(most_entries=1 << 20)).errors
    assert "16,000,000" in finding.given


def test_D53_bomb_beyond_the_library(folder: Folder, scan: Path) -> None:
    raw = bytearray(png(np.zeros((10, 10))))
    raw[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the header, the checksum mended
    import zlib

    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    scan.write_bytes(bytes(raw))
    expect(folder, "D53")


def test_D54_path_no_utf8(folder: Folder) -> None:
    folder.write()
    paths = [cell.encode() if cell else None for cell in folder.columns["scan"]]
    paths[5] = b"scans/\xff5.png"
    binary = pa.array(paths, pa.binary())
    folder.columns["scan"] = pa.Array.from_buffers(pa.string(), 60, binary.buffers())
    folder.write_table()
    expect(folder, "D54")


@pytest.mark.parametrize(
    "path", ["scans/" * 800 + "5.png", "x" * 256 + ".png", "scans/\0.png"], ids=["4805", "name", "nul"]
)
def test_D54_path_too_long(folder: Folder, path: str) -> None:
    _point(folder, path)
    expect(folder, "D54")


def test_D55_backslash(folder: Folder) -> None:
    _point(folder, "scans\\5.png")
    assert "POSIX" in expect(folder, "D55").errors[0].fix


@pytest.mark.parametrize("path", ["Scans/5.png", "scans/5.PNG"])
def test_D55_other_case(folder: Folder, path: str) -> None:
    _point(folder, path)
    assert "'scans/5.png'" in expect(folder, "D55").errors[0].allowed


def test_values_of_files_are_looked_at_like_those_of_arrays(folder: Folder) -> None:
    for name in folder.files:
        folder.files[name] = png(np.full((5, 6), 7))
    expect(folder.write(), warns=["D45"], only=True)
    folder.files["scans/5.png"] = png(np.zeros((5, 6)))
    expect(folder.write(), warns=["D44"], only=True)


def _npy_folder(folder: Folder, sample: np.ndarray) -> Folder:
    """The third modality as .npy files, one of them the given one."""
    draw = np.random.default_rng(1)
    folder.site["modalities"]["scan"] = {"kind": "series", "shape": [2, 8]}
    folder.columns["scan"] = [cell and cell.replace("png", "npy") for cell in folder.columns["scan"]]
    folder.files = {}
    folder.write()
    (folder.path / "scans").mkdir(exist_ok=True)
    for name in filter(None, folder.columns["scan"]):
        np.save(folder.path / name, draw.normal(size=(2, 8)).astype(np.float32))
    np.save(folder.path / "scans" / "5.npy", sample, allow_pickle=True)
    return folder


def test_npy_files_of_single_samples(folder: Folder) -> None:
    draw = np.random.default_rng(2)
    expect(_npy_folder(folder, draw.normal(size=(2, 8))), only=True)
    expect(_npy_folder(folder, np.asfortranarray(draw.normal(size=(2, 8)))), only=True)


@pytest.mark.parametrize(
    ("sample", "case"),
    [
        (np.full((2, 8), np.nan), "D42"),
        (np.ones((8, 2)), "D52"),
        (np.array([{}], dtype=object), "D51"),
        (np.ones((2, 1 << 12)), "D53"),
    ],
    ids=["D42", "D52", "D51", "D53"],
)
def test_D42_D51_D52_D53_of_npy_files(folder: Folder, sample: np.ndarray, case: str) -> None:
    expect(_npy_folder(folder, sample), case, demands=Demands(most_entries=1 << 12))


def test_D52_and_D53_of_recordings(folder: Folder) -> None:
    soundfile = pytest.importorskip("soundfile", reason="recordings need soundfile")
    folder.site["modalities"]["scan"] = {"kind": "series", "shape": [1, 100]}
    folder.columns["scan"] = [cell and cell.replace("png", "wav") for cell in folder.columns["scan"]]
    folder.files = {}
    folder.write()
    (folder.path / "scans").mkdir()
    draw = np.random.default_rng(3)
    for name in filter(None, folder.columns["scan"]):
        soundfile.write(folder.path / name, draw.uniform(-0.5, 0.5, 100), 8000)
    expect(folder, only=True)
    soundfile.write(folder.path / "scans" / "5.wav", draw.uniform(-0.5, 0.5, 90), 8000)
    expect(folder, "D52")
    soundfile.write(folder.path / "scans" / "5.wav", draw.uniform(-0.5, 0.5, 5000), 8000)
    expect(folder, "D53", demands=Demands(most_entries=4999))
    (folder.path / "scans" / "5.wav").write_bytes(b"RIFF....WAVE")
    expect(folder, "D51")


def test_D51_and_D52_of_volumes(folder: Folder) -> None:
    nibabel = pytest.importorskip("nibabel", reason="volumes need nibabel")
    folder.site["modalities"]["scan"] = {"kind": "image", "shape": [3, 4, 5]}
    folder.columns["scan"] = [cell and cell.replace("png", "nii.gz") for cell in folder.columns["scan"]]
    folder.files = {}
    folder.write()
    (folder.path / "scans").mkdir()
    draw = np.random.default_rng(3)
    for name in filter(None, folder.columns["scan"]):
        nibabel.save(nibabel.Nifti1Image(draw.normal(size=(4, 5, 3)), np.eye(4)), folder.path / name)
    expect(folder, only=True)
    path = folder.path / "scans" / "5.nii.gz"
    nibabel.save(nibabel.Nifti1Image(draw.normal(size=(4, 5, 2)), np.eye(4)), path)
    assert "[2, 4, 5]" in expect(folder, "D52").errors[0].given
    path.write_bytes(b"\x1f\x8bbroken")
    expect(folder, "D51")


@pytest.mark.parametrize(("library", "ending"), [("nibabel", "nii.gz"), ("soundfile", "wav")])
def test_D51_files_without_their_library(
    folder: Folder, library: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    folder.files[f"scans/5.{ending}"] = b"\x1f\x8b"
    _point(folder, f"scans/5.{ending}")
    assert library in expect(folder, "D51").errors[0].text()
