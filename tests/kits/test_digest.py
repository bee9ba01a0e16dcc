import shutil
import tomllib
from pathlib import Path

import pytest

from fedmce.config.schema import RunConfig
from fedmce.kits.app_code import BUNDLED, app_digest, app_files
from fedmce.kits.digest import plan_digest, travelling
from tests.kits.made import plan


def test_what_is_digested_is_what_flower_bundles(repository: Path) -> None:
    told = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["fab-include"]
    assert [f"/{part}/**/{pattern}" for part, pattern in BUNDLED] == told


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name in ("server/app.py", "client/app.py", "client/deep/er.py", "configs/config.yaml", "configs/x/y.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_copy_elsewhere_has_the_same_digest_whatever_else_lies_there(
    app: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(app, other)
    for name in ("server/__pycache__/app.pyc", "client/data.csv", "README.md", "fedmce/x.py", "client/test_it.py"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("more")
    assert app_digest(other) == app_digest(app)


def test_every_change_to_a_bundled_file_changes_the_digest(app: Path) -> None:
    before = app_digest(app)
    for path in app_files(app):
        content = (app / path).read_bytes()
        (app / path).write_bytes(content + b" ")
        assert app_digest(app) != before, path
        (app / path).write_bytes(content)
    (app / "client/app.py").rename(app / "client/other.py")
    assert app_digest(app) != before
    (app / "client/other.py").rename(app / "client/app.py")
    (app / "server/more.py").touch()
    assert app_digest(app) != before


def test_the_version_is_part_of_the_digest(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = app_digest(app)
    monkeypatch.setattr("fedmce.kits.app_code.__version__", "99.0")
    assert app_digest(app) != before


def test_what_is_installed_has_files_of_all_three_parts() -> None:
    from fedmce._paths import app_root

    assert {path.parts[0] for path in app_files(app_root())} == {"server", "client", "configs"}


@pytest.mark.parametrize("key", ["name", "out", "data_dir"])
def test_where_a_plan_is_run_is_not_part_of_it(key: str) -> None:
    assert plan_digest(plan().model_copy(update={key: "elsewhere"})) == plan_digest(plan())


def test_the_sites_that_a_server_writes_into_the_plan_do_not_change_its_digest() -> None:
    assert plan_digest(plan().model_copy(update={"sites": ("b", "a")})) == plan_digest(plan())


@pytest.mark.parametrize("change", [{"rounds": 4}, {"seed": 1}])
def test_what_is_run_is_part_of_the_plan(change: dict[str, int]) -> None:
    assert plan_digest(plan().model_copy(update=change)) != plan_digest(plan())


def test_floors_are_part_of_the_plan() -> None:
    lower = plan().privacy.model_copy(update={"min_rows": 31})
    assert plan_digest(plan().model_copy(update={"privacy": lower})) != plan_digest(plan())


def test_a_plan_travels_without_the_operator_s_folders_and_the_names_of_sites() -> None:
    here = plan().model_copy(update={"out": "/home/operator/run", "data_dir": "/data", "sites": ("a", "b")})
    gone = travelling(here)
    assert isinstance(gone, RunConfig)
    assert "operator" not in gone.to_json()
    assert (gone.out, gone.data_dir, gone.sites) == (None, None, None)
    assert plan_digest(gone) == plan_digest(here)


@pytest.mark.slow
def test_bundle_wheel_and_checkout_have_one_digest(tmp_path: Path) -> None:
    import sys
    import zipfile

    from tests.packaging.build import copy_of_tree, run, wheel

    tree = copy_of_tree(tmp_path / "fedmce-app")
    run(
        str(Path(sys.executable).with_name("flwr")),
        "build",
        cwd=tree,
        FLWR_HOME=str(tmp_path / "h"),
        HOME=str(tmp_path),
    )
    (bundle,) = tree.glob("*.fab")
    built = wheel(tree, tmp_path / "dist")
    for archive in (bundle, built):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(tmp_path / archive.suffix)
    assert app_digest(tmp_path / ".fab") == app_digest(tree)
    assert app_digest(tmp_path / ".whl" / "fedmce" / "_app") == app_digest(tree)
