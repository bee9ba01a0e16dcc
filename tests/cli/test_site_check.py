import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedmce.cli.app import app
from fedmce.folders.layout import CHECKSUMS
from fedmce.folders.pass_ids import NAMES
from tests.faults.site_folders import Folder, good_folder, snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "north").write()


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["site", *map(str, arguments)])


def test_a_good_folder_is_described_and_exits_with_0(folder: Folder) -> None:
    done = _run("check", folder.path)
    assert done.exit_code == 0
    assert "site north: nothing wrong" in done.stdout
    lines = [line.split() for line in done.stdout.replace("│", " ").splitlines()]
    assert ["image", "24", "8", "8", "33.3%"] in lines
    assert ["benign", "18", "6", "6"] in lines


def test_all_findings_come_at_once_with_exit_code_3_and_nothing_is_written(folder: Folder) -> None:
    folder.columns["image"][3] = 5000
    folder.columns["split"][0] = "Train"
    folder.arrays["lab"][[4, 8]] = 0
    folder.write()
    before = snapshot(folder.path)
    done = _run("check", folder.path)
    assert done.exit_code == 3
    assert [line[:3] for line in done.stdout.splitlines() if line[:1] == "D"] == ["D25", "D17", "D44"]
    assert "2 errors and 1 warning" in done.stderr
    assert snapshot(folder.path) == before


def test_json_is_one_object_whatever_is_found(folder: Folder, tmp_path: Path) -> None:
    good = json.loads(_run("check", folder.path, "--json").stdout)
    assert (good["schema"], good["exit_code"], good["findings"]) == ("fedmce.site/1", 0, [])
    assert good["counts"]["rows"] == dict(zip(NAMES, (36, 12, 12), strict=True))
    folder.site["site"] = "North"
    folder.write()
    done = _run("check", folder.path, "--json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert done.exit_code == 3
    assert (finding["case"], finding["level"], finding["file"]) == ("D06", "error", "site.yaml")
    none = json.loads(_run("check", tmp_path / "none", "--json").stdout)
    assert none["counts"] is None


def test_a_picture_is_drawn_where_there_is_something_to_draw(folder: Folder, tmp_path: Path) -> None:
    picture = tmp_path / "who.png"
    assert _run("check", folder.path, "--picture", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    folder.columns["split"] = ["test"] * 60
    folder.write()
    assert _run("check", folder.path, "--picture", tmp_path / "empty.png").exit_code == 3
    assert (tmp_path / "empty.png").is_file()
    assert "nothing to draw" in _run("check", tmp_path / "none", "--picture", tmp_path / "none.png").stderr


def test_another_site_is_a_plan(folder: Folder, tmp_path: Path) -> None:
    south = good_folder(tmp_path / "south")
    south.site["site"] = "south"
    assert _run("check", south.write().path, "--like", folder.path).exit_code == 0
    south.site["task"]["classes"] = ["benign", "malignant", "other"]
    done = _run("check", south.write().path, "--like", folder.path)
    assert done.exit_code == 3
    assert "D08" in done.stdout


def test_values_are_read_unless_told_not_to(folder: Folder) -> None:
    folder.arrays["lab"][3, 1] = float("nan")
    folder.write()
    assert "D42" in _run("check", folder.path).stdout
    assert _run("check", folder.path, "--no-values").exit_code == 0


def test_a_kit_that_is_none_is_refused_as_a_kit(folder: Folder, tmp_path: Path) -> None:
    done = _run("check", folder.path, "--kit", tmp_path / "nowhere")
    assert done.exit_code == 4
    assert "needed an unpacked kit" in done.stderr


def test_a_seal_covers_what_is_used_and_is_refused_for_a_bad_folder(folder: Folder) -> None:
    assert "19 files" in _run("seal", folder.path).stdout
    raw = bytearray(folder.array("lab").read_bytes())
    raw[-4] ^= 1
    folder.array("lab").write_bytes(bytes(raw))
    assert "D65" in _run("check", folder.path).stdout
    assert _run("seal", folder.path).exit_code == 0  # meant: seal it anew
    assert _run("check", folder.path).exit_code == 0
    before = (folder.path / CHECKSUMS).read_bytes()
    folder.columns["image"][3] = 5000
    folder.write()
    done = _run("seal", folder.path)
    assert done.exit_code == 3
    assert "D17" in done.stdout
    assert (folder.path / CHECKSUMS).read_bytes() == before
