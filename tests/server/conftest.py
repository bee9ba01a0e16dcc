from collections.abc import Iterator

import pytest

from client.app import app as client_app
from fedmce.data import FederatedDataset
from fedmce.flower_compat import identity
from tests.server.made import Federation, made_config, made_dataset, open_federation, use


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> FederatedDataset:
    """The made data set, in place of every other."""
    return use(monkeypatch, made_dataset())


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    """One federation per module, some rounds old; a test that trains rewinds it first."""
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        yield open_federation(made_config(), use(patch, made_dataset()), client_app, run).warm()
