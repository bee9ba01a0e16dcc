"""Group D, the folder and its ``site.yaml``: each case is one good folder broken in one way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fedmce.config.folders import PlannedModality
from fedmce.folders.check import check_folder
from fedmce.folders.demands import Demands
from fedmce.folders.layout import SiteFile
from fedmce.folders.plan import PLANNED, Plan
from tests.faults.site_folders import Folder, checked, expect, good_folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return good_folder(tmp_path / "site").write()


@pytest.fixture
def without_rights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place that a user without rights may enter; root reads whatever its mode says, so it steps down."""
    place = tmp_path_factory.mktemp("open")
    chain = [place, *place.parents]
    modes = {p: p.stat().st_mode for p in chain if p.owner() != "root" or p.stat().st_mode & 0o005 != 0o005}
    if os.geteuid():
        yield place
        return
    checked(good_folder(place / "warm").write())  # libraries are loaded as long as they can be read
    for closed in modes:
        closed.chmod(0o755)
    place.chmod(0o777)
    os.seteuid(65534)
    try:
        yield place
    finally:
        os.seteuid(0)
        for closed, mode in modes.items():
            closed.chmod(mode)


def _plan(folder: Folder) -> Plan:
    site = SiteFile.from_tree(folder.site)
    told = tuple(PlannedModality(name=n, **m.model_dump(include=PLANNED)) for n, m in site.modalities.items())
    return Plan(told, site.task.classes, site.task.metric)


def test_a_good_folder_has_no_finding(folder: Folder) -> None:
    expect(folder, only=True)
    expect(folder, only=True, demands=Demands(plan=_plan(folder), kit_site="north", held_out=0.3))


@pytest.mark.parametrize("what", ["missing", "a file", "a broken link"])
def test_D01_no_folder(tmp_path: Path, what: str) -> None:
    path = tmp_path / "site"
    if what == "a file":
        path.write_text("rows")
    elif what == "a broken link":
        path.symlink_to(tmp_path / "nowhere")
    report = expect(path, "D01")
    assert report.site is None
    assert report.counts is None


def test_D01_folder_not_readable(without_rights: Path) -> None:
    folder = good_folder(without_rights / "site").write()
    folder.path.chmod(0o000)
    try:
        assert [f.case for f in check_folder(folder.path).findings] == ["D01"]
    finally:
        folder.path.chmod(0o700)


@pytest.mark.parametrize("content", [None, b"", b"\n# nothing\n", b"- a\n- b\n", b"north", b"\xff\xfe\x00site"])
def test_D02_no_mapping(folder: Folder, content: bytes | None) -> None:
    (folder.path / "site.yaml").unlink() if content is None else folder.write_yaml(content)
    assert "fedmce site init" in expect(folder, "D02").findings[0].fix


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("site: [north\n", "line 2, column 1"),
        ("site:\tnorth\n", "line 1, column 6"),
        ("\tsite: north\n", "line 1, column 1"),
        (BOMB, "line"),
        ("site: &a [*a]\n", "line 1"),
        ("site: *a\n", "line 1, column 7"),
        ("[" * 100_000, "line 1"),
        ("site: north\n---\nsite: south\n", "line 2"),
        ("# " + "x" * (1 << 20), ""),
        ('site: "\\U99999999"\n', "syntax"),
        ("site: \x01\n", "syntax"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_D03_no_yaml(folder: Folder, text: str, place: str) -> None:
    folder.write_yaml(text)
    assert expect(folder, "D03").findings[0].where.startswith(place)


@pytest.mark.parametrize(
    "tail", ["site: south\n", "private: !!python/object:os.system true\n", "<<: {private: true}\n"]
)
def test_D03_key_twice_tags_and_merges(folder: Folder, tail: str) -> None:
    del folder.site["private"]
    folder.write_yaml(yaml.safe_dump(folder.site) + tail)
    expect(folder, "D03")


@pytest.mark.parametrize(
    ("section", "key", "near"),
    [((), "privat", "private"), (("release",), "kmin", "k_min"), (("modalities", "image"), "shap", "shape")],
)
def test_D04_unknown_key(folder: Folder, section: tuple[str, ...], key: str, near: str) -> None:
    node = folder.site
    for part in section:
        node = node[part]
    node[key] = 3
    folder.write()
    assert f"did you mean {near!r}" in expect(folder, "D04").findings[0].fix


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("release", {"k_min": "12"}),
        ("release", {"k_min": -1}),
        ("release", {"noise_sd": float("nan")}),
        ("private", "maybe"),
        ("private", 1),
        ("format", 0),
        ("format", True),
        ("modalities", ["image"]),
    ],
    ids=str,
)
def test_D05_type_or_range(folder: Folder, section: str, value: object) -> None:
    folder.site[section] = value
    folder.write()
    expect(folder, "D05")


@pytest.mark.parametrize("change", [{"shape": [4, 4]}, {"shape": [1, 0, 4]}, {"kind": "imag"}, {"dtype": "float23"}])
def test_D05_section_of_a_modality(folder: Folder, change: dict[str, object]) -> None:
    folder.site["modalities"]["image"].update(change)
    folder.write()
    expect(folder, "D05")


@pytest.mark.parametrize("name", ["North", "north side", "", "x" * 41, "nörd", "../north", "north\n"])
def test_D06_name_of_the_site(folder: Folder, name: str) -> None:
    folder.site["site"] = name
    folder.write()
    expect(folder, "D06")


def test_D07_newer_format(folder: Folder) -> None:
    folder.site.update(format=2, a_key_of_that_format=1)
    folder.write()
    expect(folder, "D07")


@pytest.mark.parametrize(
    "task",
    [
        {"classes": ["benign", "malignant", "other"]},
        {"classes": ["malignant", "benign"]},
        {"classes": ["benign", "malignant"], "metric": "auc_within_sites"},
        {"kind": "regression"},
    ],
    ids=str,
)
def test_D08_task_of_another_federation(folder: Folder, task: dict[str, object]) -> None:
    plan = _plan(folder)
    folder.site["task"] = {"kind": "classification", **task}
    folder.write()
    expect(folder, "D08", demands=Demands(plan=plan))
    expect(folder)


def test_D09_modality_that_the_plan_does_not_know(folder: Folder) -> None:
    plan = _plan(folder)
    plan = Plan(
        (*plan.modalities[:2], plan.modalities[2].model_copy(update={"name": "scans"})), *(plan.classes, plan.metric)
    )
    report = expect(folder, "D09", demands=Demands(plan=plan))
    assert "'scans'" in report.errors[0].fix


@pytest.mark.parametrize("change", [{"shape": (1, 4, 5)}, {"kind": "spectrogram"}, {"units": "mV"}], ids=str)
def test_D40_modality_unlike_the_plan(folder: Folder, change: dict[str, object]) -> None:
    plan = _plan(folder)
    plan = Plan((plan.modalities[0].model_copy(update=change), *plan.modalities[1:]), plan.classes, plan.metric)
    expect(folder, "D40", demands=Demands(plan=plan))


def test_D61_folder_of_another_site(folder: Folder) -> None:
    expect(folder, "D61", demands=Demands(kit_site="south"))


@pytest.mark.parametrize("mode", [0o702, 0o777])
def test_D62_folder_that_anyone_writes_to(folder: Folder, mode: int) -> None:
    folder.path.chmod(mode)
    assert "chmod" in expect(folder, warns=["D62"]).warnings[0].fix


def test_D62_private_features_that_anyone_reads(folder: Folder) -> None:
    folder.array("lab").chmod(0o644)
    folder.path.chmod(0o755)
    (finding,) = expect(folder, warns=["D62"], only=True).warnings
    assert "features/lab.npy" in finding.text()
    folder.path.chmod(0o700)  # nobody comes past the folder itself
    expect(folder, only=True)
    folder.site["private"] = False
    folder.write().path.chmod(0o755)
    expect(folder, only=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("site: north", "site: no"),
        ("site: north", "site: 2024"),
        ("site: north", "site: 12:30"),
        ("k_min: 2", "k_min: 1e3"),
        ("k_min: 2", "k_min: 010"),
        ("private: true", "private: yes"),
        ("- benign", "- off"),
        ("- benign", "- 0"),
        ("units: grey, 0 to 1", "units: 2024-01-01"),
    ],
)
def test_D66_yaml_reads_something_else(folder: Folder, old: str, new: str) -> None:
    text = yaml.safe_dump(folder.site, sort_keys=False)
    assert old in text
    folder.write_yaml(text.replace(old, new))
    assert "quote the value" in expect(folder, "D66").errors[0].fix


def test_D66_a_quoted_value_is_what_was_meant(folder: Folder) -> None:
    text = yaml.safe_dump(folder.site, sort_keys=False).replace("site: north", 'site: "2024"')
    folder.write_yaml(text)
    assert checked(folder).site == "2024"
    expect(folder, only=True)
