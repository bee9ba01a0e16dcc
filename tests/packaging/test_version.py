import tomllib
from pathlib import Path

import fedmce


def test_the_version_of_the_package_is_the_version_of_the_project(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["version"] == fedmce.__version__
