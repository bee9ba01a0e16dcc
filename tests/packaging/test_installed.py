"""The wheel in use: an environment of its own, another folder, no network, no checkout in sight."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.packaging.build import copy_of_tree, run, wheel

OFFLINE = """
import socket

def _refuse(*address, **_):
    raise OSError(f"this test has no network: {address}")

_connect = socket.socket.connect
def _local_only(self, address):
    if self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1", "localhost"):
        return _connect(self, address)
    _refuse(address)

socket.socket.connect = _local_only
socket.getaddrinfo = _refuse
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment that holds the wheel, and this one's libraries without our checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    built = wheel(copy_of_tree(folder / "tree"), folder / "dist")
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", "--no-deps")
    run(*pip, str(built), cwd=folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    # A path in a .pth file is searched, but its own .pth files (an editable install of ours) are not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(OFFLINE)
    return python.parent


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FEDMCE", "FLWR_HOME"))}
    return {**kept, "HOME": str(home), "COLUMNS": "120"}


def _fedmce(installed: Path, cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(installed / "fedmce"), *arguments],
        cwd=cwd,
        env=_environment(cwd),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"fedmce {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_an_installed_wheel_imports_itself_and_not_a_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import fedmce, fedmce._paths as p; print(fedmce.__file__); print(p.app_root())"
    done = subprocess.run(
        [str(installed / "python"), "-c", code],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    package, app = done.stdout.split()
    assert Path(package).is_relative_to(installed.parent)
    assert Path(app) == Path(package).parent / "_app"


@pytest.mark.slow
def test_an_installed_wheel_trains_offline_outside_any_checkout(installed: Path, tmp_path: Path) -> None:
    _fedmce(installed, tmp_path, "run", "rounds=1", f"out={tmp_path / 'run'}")
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "masks.npz", "record.jsonl", "result.json", "model.safetensors", "report.html"} <= written
