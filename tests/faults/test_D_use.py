"""Group D, while a run uses a folder and between sites: fingerprints, digests, seals."""

import os
from pathlib import Path

import numpy as np
import pytest

from fedmce.errors import DataError
from fedmce.folders import fingerprint
from fedmce.folders.check import Report, check_folder
from fedmce.folders.digests import (
    batch_bytes,
    data_digest,
    salted_data_digest,
    split_changed,
    split_digest,
    too_large_batch,
    twin_finding,
    twins,
)
from fedmce.folders.fingerprint import FolderFingerprint
from fedmce.folders.layout import CHECKSUMS, SiteFile
from fedmce.folders.seal import write_seal
from tests.faults.site_folders import Folder, expect, good_folder, png, snapshot

SALT = bytes(range(16))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "site").write()


@pytest.fixture
def report(folder: Folder) -> Report:
    return check_folder(folder.path)


@pytest.mark.parametrize(
    "name", ["site.yaml", "samples.parquet", "features/image.npy", "features/lab.npy", "scans/5.png"]
)
def test_D56_file_changed_after_the_check(folder: Folder, report: Report, name: str) -> None:
    taken = FolderFingerprint.take(folder.path, report.files)
    assert taken == FolderFingerprint.take(folder.path)  # every file of a sample, where none is named
    assert taken.changed(folder.path) is None
    path = folder.path / name
    path.write_bytes(path.read_bytes() + b"\n")
    change = taken.changed(folder.path)
    assert change is not None
    assert change.code == "data_changed"
    assert [finding.case for finding in change.findings] == ["D56"]
    assert name in change.findings[0].text()


def test_D56_written_again_with_the_same_size(folder: Folder) -> None:
    taken = FolderFingerprint.take(folder.path)
    path = folder.array("lab")
    before = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    change = taken.changed(folder.path)
    assert change is not None
    assert "written since" in change.findings[0].text()


def test_D56_header_changed_and_the_time_put_back(folder: Folder) -> None:
    taken = FolderFingerprint.take(folder.path)
    path = folder.array("lab")
    before, raw = path.stat(), bytearray(path.read_bytes())
    raw[200] ^= 1  # within the first bytes
    path.write_bytes(bytes(raw))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    change = taken.changed(folder.path)
    assert change is not None
    assert "another header" in change.findings[0].text()


def test_D56_the_end_of_a_long_table_counts_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "HEAD", 64)
    monkeypatch.setattr(fingerprint, "TAIL", 64)
    taken = FolderFingerprint.take(folder.path)
    before, raw = folder.table.stat(), bytearray(folder.table.read_bytes())
    raw[-20] ^= 1
    folder.table.write_bytes(bytes(raw))
    os.utime(folder.table, ns=(before.st_atime_ns, before.st_mtime_ns))
    change = taken.changed(folder.path)
    assert change is not None
    assert change.code == "data_changed"


def test_a_look_changes_nothing(folder: Folder, report: Report) -> None:
    before = snapshot(folder.path)
    taken = FolderFingerprint.take(folder.path, report.files)
    assert taken.changed(folder.path) is None
    assert taken == FolderFingerprint.take(folder.path, report.files)
    assert snapshot(folder.path) == before


@pytest.mark.parametrize("name", ["features/lab.npy", "scans/5.png", ""])
def test_D57_file_or_disk_gone_and_back_again(folder: Folder, report: Report, name: str) -> None:
    taken = FolderFingerprint.take(folder.path, report.files)
    path = folder.path / name
    away = folder.path.parent / "away"
    path.rename(away)
    change = taken.changed(folder.path)
    assert change is not None
    assert change.code == "data_unavailable"
    assert [finding.case for finding in change.findings] == ["D57"]
    assert "ENOENT" in change.findings[0].text()
    away.rename(path)
    assert taken.changed(folder.path) is None


def test_D57_a_disk_that_is_half_gone_may_come_back_and_is_no_change(folder: Folder) -> None:
    taken = FolderFingerprint.take(folder.path)
    folder.array("lab").unlink()
    folder.write_yaml("changed: true\n")
    change = taken.changed(folder.path)
    assert change is not None
    assert change.code == "data_unavailable"


def test_D57_stale_handle_of_a_network_disk(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    taken = FolderFingerprint.take(folder.path)

    def stale(*_: object, **__: object) -> object:
        raise OSError(errno.ESTALE, "stale file handle")

    monkeypatch.setattr(fingerprint, "_stamp", stale)
    change = taken.changed(folder.path)
    assert change is not None
    assert change.code == "data_unavailable"
    assert "ESTALE" in change.findings[0].text()


def test_D58_batch_that_does_not_fit(folder: Folder) -> None:
    modalities = SiteFile.read(folder.path).modalities
    assert batch_bytes(modalities, 10) == 4 * 10 * (16 + 3 + 30)
    needed = 2 * batch_bytes(modalities, 1000)
    assert too_large_batch(modalities, 1000, needed) is None
    finding = too_large_batch(modalities, 1000, needed - 1)
    assert finding is not None
    assert finding.case == "D58"
    assert "batch of 1000 rows" in finding.text()


def test_D60_two_sites_with_the_same_data(tmp_path: Path, folder: Folder) -> None:
    copy = good_folder(tmp_path / "copy")
    copy.site["site"] = "south"
    copy.columns["sample_id"] = [f"q-{row}" for row in range(60)]
    copy.columns["split"] = copy.columns["split"][::-1]  # rows may be named and split in another way
    other = good_folder(tmp_path / "other", seed=1)
    digests = {
        name: salted_data_digest(check_folder(made.path).features, SALT)
        for name, made in (("north", folder), ("south", copy.write()), ("east", other.write()))
    }
    assert twins(digests) == [("north", "south")]
    finding = twin_finding("north", ["south"])
    assert finding.case == "D60"
    assert "south" in finding.text()


def test_D60_the_digest_tells_nothing_without_the_salt(report: Report) -> None:
    one, other = salted_data_digest(report.features, SALT), salted_data_digest(report.features, SALT[::-1])
    assert one != other
    assert data_digest(report.features) not in (one, other)
    assert one == salted_data_digest(report.features[::-1], SALT)
    with pytest.raises(ValueError, match="at least 16"):
        salted_data_digest(report.features, b"short")


def test_D63_split_changed_within_a_run(folder: Folder) -> None:
    ids, splits = folder.columns["sample_id"], folder.columns["split"]
    committed = split_digest(ids, splits)
    assert split_changed(committed, split_digest(ids[::-1], splits[::-1])) is None
    moved = [*splits[:-1], "train"]
    finding = split_changed(committed, split_digest(ids, moved))
    assert finding is not None
    assert finding.case == "D63"
    assert split_changed(committed, split_digest(ids[1:], splits[1:])) is not None
    assert split_digest(["ab"], ["c"]) != split_digest(["a"], ["bc"])


def _sealed(folder: Folder) -> Folder:
    write_seal(folder.path, check_folder(folder.path).used)
    return folder


@pytest.mark.parametrize("name", ["site.yaml", "samples.parquet", "features/lab.npy", "scans/5.png"])
def test_D65_a_file_that_is_not_the_sealed_one(folder: Folder, name: str) -> None:
    expect(_sealed(folder), only=True)
    if name == "site.yaml":
        folder.write_yaml((folder.path / name).read_text() + "# changed\n")
    elif name == "samples.parquet":
        folder.write_table(compression="zstd")
    elif name == "scans/5.png":
        (folder.path / name).write_bytes(png(np.random.default_rng(9).integers(1, 255, (5, 6))))
    else:
        raw = bytearray(folder.array("lab").read_bytes())
        raw[-1] ^= 1  # the lowest bits of a float: no pass over the values can see it
        raw[-4] ^= 1
        folder.array("lab").write_bytes(bytes(raw))
    (finding,) = expect(folder, "D65").errors
    assert name in finding.text()


def test_D65_sealed_but_gone_and_used_but_not_sealed(folder: Folder) -> None:
    _sealed(folder)
    seal = folder.path / CHECKSUMS
    seal.write_text("".join(line for line in seal.read_text().splitlines(True) if "lab" not in line))
    assert "not sealed" in expect(folder, "D65").errors[0].text()
    seal.write_text(seal.read_text() + "0" * 64 + "  features/gone.npy\n")
    assert "not there" in expect(folder, "D65").errors[0].text()


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/hostname", "scans/../site.yaml"])
def test_D65_a_seal_looks_at_nothing_outside_the_folder(folder: Folder, name: str) -> None:
    (folder.path / CHECKSUMS).write_text("0" * 64 + f"  {name}\n")
    assert "leaves the folder" in expect(folder, "D65").errors[0].given


@pytest.mark.parametrize("text", ["", "nonsense\n", "0" * 63 + "  site.yaml\n", "\xff"])
def test_D65_a_seal_that_cannot_be_read(folder: Folder, text: str) -> None:
    (folder.path / CHECKSUMS).write_bytes(text.encode("latin-1"))
    expect(folder, "D65")


def test_a_seal_is_what_sha256sum_reads_and_writes_nothing_else(folder: Folder) -> None:
    import hashlib

    before = snapshot(folder.path)
    _sealed(folder)
    lines = (folder.path / CHECKSUMS).read_text().splitlines()
    assert len(lines) == 4 + 15
    for line in lines:
        told, name = line.split("  ", 1)
        assert hashlib.sha256((folder.path / name).read_bytes()).hexdigest() == told
    after = snapshot(folder.path)
    assert {name for name in after if name not in before} == {str(folder.path / CHECKSUMS)}
    same = [name for name in before if name != str(folder.path)]  # the folder's own time moves with a new entry
    assert all(after[name] == before[name] for name in same)


def test_a_name_with_a_line_break_cannot_be_sealed(folder: Folder) -> None:
    with pytest.raises(DataError, match="line break"):
        write_seal(folder.path, ["scans/a\nb.png"])
    assert not (folder.path / CHECKSUMS).exists()
