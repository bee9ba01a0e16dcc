from pathlib import Path

import pytest

from tests.packaging.build import copy_of_tree, names, run, sources, wheel

APP = {"server": ".py", "client": ".py", "simulations": ".py", "configs": ".yaml"}


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the wheel of this checkout holds."""
    folder = tmp_path_factory.mktemp("wheel")
    return names(wheel(copy_of_tree(folder / "tree"), folder / "dist"))


def test_a_wheel_puts_one_name_of_ours_into_site_packages(listing: set[str]) -> None:
    tops = {name.split("/")[0] for name in listing}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fedmce"}
    assert len(tops) == 2


def test_a_wheel_holds_every_module_asset_and_template_of_the_package(listing: set[str]) -> None:
    assert sources("fedmce", ".py", ".npz", ".jinja", ".css", ".typed") <= listing
    assert [name for name in listing if name.startswith("fedmce/data/assets/") and name.endswith(".npz")]
    assert [name for name in listing if name.startswith("fedmce/report/") and name.endswith(".jinja")]


def test_a_wheel_holds_the_flower_app_as_one_folder_inside_the_package(listing: set[str]) -> None:
    app = {name.removeprefix("fedmce/_app/") for name in listing if name.startswith("fedmce/_app/")}
    wanted = set.union(*(sources(part, suffix) for part, suffix in APP.items()), {"pyproject.toml"})
    assert app == wanted
    assert {"server/app.py", "client/app.py", "configs/config.yaml"} <= app


def test_a_wheel_holds_nothing_but_code_configuration_templates_and_its_own_small_data(listing: set[str]) -> None:
    ours = {name for name in listing if name.startswith("fedmce/")}
    suffixes = {Path(name).suffix for name in ours}
    assert suffixes <= {".py", ".yaml", ".toml", ".npz", ".jinja", ".css", ".typed"}
    assert not [name for name in listing if "/tests/" in name or "__pycache__" in name or "test_" in name]


def test_a_wheel_carries_its_licence(listing: set[str]) -> None:
    assert [name for name in listing if name.endswith("dist-info/licenses/LICENSE")]


def test_a_stray_file_of_a_working_tree_does_not_reach_the_wheel(tmp_path: Path, listing: set[str]) -> None:
    tree = copy_of_tree(tmp_path / "tree")
    for stray in ("server/notes.txt", "configs/secret.npz", "simulations/run.json", "runs/x.py", "data/raw.py"):
        (tree / stray).parent.mkdir(exist_ok=True)
        (tree / stray).write_text("stray = 1\n")
    assert names(wheel(tree, tmp_path / "dist")) == listing


@pytest.mark.slow
def test_a_source_archive_builds_the_same_wheel(tmp_path: Path, listing: set[str]) -> None:
    import shutil
    import sys

    tree = copy_of_tree(tmp_path / "tree")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path), cwd=tree)
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert names(wheel(source, tmp_path / "dist")) == listing
