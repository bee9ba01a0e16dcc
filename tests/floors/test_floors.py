import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("fedmce", "server", "client", "simulations")
FAULTS = {
    "server/planted.py": "import client.app\n",
    "client/planted.py": "def late():\n    from simulations import anything\n",
    "fedmce/contributions/planted.py": "import fedmce.training\n",
    "fedmce/metrics/planted.py": "import rich\n",
    "fedmce/aggregation/planted.py": "import flwr.common\n",
    "fedmce/training/planted.py": "import matplotlib\n",
    "fedmce/new_room.py": "",
}


def _lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a tree that has a pyproject.toml, with that tree alone on the path."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of the packages in which a fault may be planted."""
    for package in PACKAGES:
        shutil.copytree(repository / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_downwards_only(repository: Path) -> None:
    done = _lint_imports(repository)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", sorted(FAULTS))
def test_a_planted_import_against_the_floors_is_found(copy: Path, place: str) -> None:
    (copy / place).write_text(FAULTS[place])
    done = _lint_imports(copy)
    # The linter also ends with 1 when it cannot read its contracts, so its verdict is read too.
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout, done.stdout
    # It names the module that breaks a contract, or the room that has no place.
    assert place.removesuffix(".py").replace("/", ".").rpartition(".")[2] in done.stdout
