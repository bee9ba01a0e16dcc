"""Samples that are files: images, recordings and arrays, and paths that stay inside the folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmce.errors import DataError
from fedmce.folders.layout import FolderModality
from fedmce.folders.media import decode
from fedmce.folders.places import inside


def modality(kind: str, *shape: int, **more: Any) -> FolderModality:
    return FolderModality.model_validate({"kind": kind, "shape": shape, **more})


PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def test_a_grey_image_holds_its_pixels_from_0_to_1(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", modality("image", 1, 4, 6))
    np.testing.assert_array_equal(found, PIXELS[None].astype(np.float32) / np.float32(255))


def test_colours_come_first_and_sixteen_bits_are_kept(tmp_path: Path) -> None:
    colours = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]], axis=-1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", modality("image", 3, 4, 6))
    np.testing.assert_array_equal(found, np.moveaxis(colours, -1, 0).astype(np.float32) / np.float32(255))
    deep = PIXELS.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "b.png")
    np.testing.assert_allclose(decode(tmp_path / "b.png", modality("image", 1, 4, 6)), PIXELS[None] / 255, atol=1e-6)


def test_another_size_is_refused_unless_the_site_wants_it_resized(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: holds \(1, 4, 6\); needed \(1, 2, 3\).*fit: resize"):
        decode(tmp_path / "a.png", modality("image", 1, 2, 3))
    assert decode(tmp_path / "a.png", modality("image", 1, 2, 3, fit="resize")).shape == (1, 2, 3)


def test_a_recording_is_channels_by_steps_and_may_be_cut_or_padded(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = np.linspace(-0.5, 0.5, 20, dtype=np.float32).reshape(10, 2)
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(decode(tmp_path / "a.wav", modality("series", 2, 10)), sound.T)
    longer = decode(tmp_path / "a.wav", modality("series", 2, 12, fit="resize"))
    np.testing.assert_array_equal(longer, np.pad(sound.T, ((0, 0), (0, 2))))
    assert decode(tmp_path / "a.wav", modality("series", 2, 4, fit="resize")).shape == (2, 4)


def test_of_a_volume_the_last_axis_becomes_the_channels(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed (extra `oracle`)")
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    scaled = nibabel.Nifti1Image(volume, np.eye(4))
    scaled.header.set_slope_inter(0.5, -1.0)  # as scanners store them: whole numbers, and how to read them
    nibabel.save(scaled, tmp_path / "a.nii.gz")
    found = decode(tmp_path / "a.nii.gz", modality("image", 4, 2, 3))
    np.testing.assert_array_equal(found, 0.5 * np.moveaxis(volume, -1, 0) - 1)
    nibabel.save(nibabel.Nifti1Image(volume[:, :, 0], np.eye(4)), tmp_path / "b.nii")
    np.testing.assert_array_equal(decode(tmp_path / "b.nii", modality("image", 1, 2, 3)), volume[None, :, :, 0])
    with pytest.raises(DataError, match=r"a.nii.gz: holds \(4, 2, 3\); needed \(3, 2, 3\)"):
        decode(tmp_path / "a.nii.gz", modality("image", 3, 2, 3))


@pytest.mark.parametrize(("library", "name"), [("nibabel", "a.nii"), ("soundfile", "a.wav")])
def test_a_file_whose_library_is_not_there_names_it(
    library: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=f"{name}: .*needed the library {library}. `pip install {library}`"):
        decode(tmp_path / name, modality("image", 1, 2, 3))


def test_broken_and_unknown_files_are_named_without_the_decoder_s_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a.png: cannot be decoded \(UnidentifiedImageError\)"):
        decode(tmp_path / "a.png", modality("image", 1, 4, 6))
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(DataError, match="no file of a known kind"):
        decode(tmp_path / "a.txt", modality("tabular", 1))
    with pytest.raises(DataError, match="no such file"):
        decode(tmp_path / "b.png", modality("image", 1, 4, 6))


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "a/../../x.png", "a\\b.png", "x" * 5000, "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="relative POSIX path inside the folder"):
        inside(tmp_path, path)


def test_a_link_leads_out_only_if_the_site_allows_it(tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    site.mkdir()
    other.mkdir()
    (site / "files").symlink_to(other)
    with pytest.raises(DataError, match="leads out of the folder by a link"):
        inside(site, "files/a.png")
    assert inside(site, "files/a.png", allow_links=True) == site / "files/a.png"
    (site / "real").mkdir()
    (site / "near").symlink_to(site / "real")
    assert inside(site, "near/a.png") == site / "near/a.png"
