"""Where the app's folders are found: inside a wheel's package, or beside it in a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedmce import _paths
from fedmce.errors import FedMCEError


def lay_out(root: Path) -> None:
    for file in ("server/app.py", "configs/config.yaml"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installed package without anything beside it."""
    folder = tmp_path / "site-packages" / "fedmce"
    folder.mkdir(parents=True)
    monkeypatch.setattr(_paths, "__file__", str(folder / "_paths.py"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return folder


def test_a_checkout_is_its_own_app_folder(package: Path) -> None:
    lay_out(package.parent)
    assert _paths.app_root() == package.parent
    assert _paths.config_root() == package.parent / "configs"


def test_a_wheel_s_copy_wins_over_strangers_beside_the_package(package: Path) -> None:
    lay_out(package.parent)
    lay_out(package / "_app")
    assert _paths.app_root() == package / "_app"
    assert _paths.config_root() == package / "_app" / "configs"


def test_using_the_app_puts_it_first_on_the_path_once(package: Path) -> None:
    lay_out(package / "_app")
    assert _paths.use_app() == _paths.use_app() == package / "_app"
    assert sys.path[0] == str(package / "_app")
    assert sys.path.count(str(package / "_app")) == 1


def test_a_broken_installation_says_so(package: Path) -> None:
    with pytest.raises(FedMCEError, match=r"server/app\.py not found.*reinstall fedmce"):
        _paths.app_root()


def test_this_checkout_has_its_config_groups() -> None:
    assert (_paths.config_root() / "dataset" / "av_digits.yaml").is_file()
