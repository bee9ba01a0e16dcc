from pathlib import Path

import pytest

from fedmce.kits.server_folder import ServerFolder
from tests.kits.made import project


@pytest.fixture(scope="package")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    """A project that no test changes."""
    return project(tmp_path_factory.mktemp("project") / "federation")


@pytest.fixture
def own(tmp_path: Path) -> ServerFolder:
    """A project that the test may change."""
    return project(tmp_path / "federation")
