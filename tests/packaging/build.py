"""Builds that the packaging tests look into; none of them uses a network."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("fedmce", "server", "client", "simulations", "configs")
BUILD_FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore")


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command and return what it printed; its whole output is the message if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_tree(target: Path) -> Path:
    """A copy of what a build reads, so that no build writes into the checkout."""
    target.mkdir(parents=True)
    for name in SHIPPED:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, target / name)
    return target


def wheel(source: Path, target: Path) -> Path:
    """Build the wheel of a source tree with the hatchling of this environment."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target), cwd=source)
    (built,) = target.glob("*.whl")
    return built


def names(archive: Path) -> set[str]:
    """The files in a zip archive."""
    with zipfile.ZipFile(archive) as opened:
        return {name for name in opened.namelist() if not name.endswith("/")}


def sources(part: str, *suffixes: str) -> set[str]:
    """Files of a top-level folder with one of the suffixes, relative to the checkout."""
    return {file.relative_to(ROOT).as_posix() for s in suffixes for file in (ROOT / part).rglob(f"*{s}")}
