"""What every test needs: one thread, a silent Flower, repeatable random examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from simulations import ports

# Before anything imports torch or flwr: both read these once. Programs that tests start inherit them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"

# In CI the same examples each time: a red build must be red again on the next machine.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


# Workers of pytest-xdist choose ports at the same time: each from a part of its own.
_worker, _part = (
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]),
    len(ports.PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)
ports.PORTS = ports.PORTS[_worker * _part :][:_part]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests belong to."""
    return Path(__file__).resolve().parents[1]
