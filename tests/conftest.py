"""What every test needs: one thread, a silent Flower, repeatable random examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.faults.cases import FEDERATIONS

# Before anything imports torch or flwr: both read these once. Programs that tests start inherit them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"

# In CI the same examples each time: a red build must be red again on the next machine.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


class OneFederationAtATime(LoadFileScheduling):
    """File by file on all cores, but federations of real processes one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return "federations" if nodeid.startswith(FEDERATIONS) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """For ``--dist loadfile``."""
    return OneFederationAtATime(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests belong to."""
    return Path(__file__).resolve().parents[1]
