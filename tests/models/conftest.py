import pytest

from fedmce.data import FederatedDataset
from tests.server.made import made_dataset, use


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> FederatedDataset:
    """The made data set, in place of every other."""
    return use(monkeypatch, made_dataset())
