"""What the private SuperLink of ``engine=flower`` is told of its surroundings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from simulations.engines import flower


class Started(Exception):
    """Carries the environment that a process would have got."""


def test_the_simulation_joins_no_ray_cluster_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def popen(command: Any, **options: Any) -> Any:
        seen.update(options["env"])
        raise Started

    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.2:6379")
    monkeypatch.setattr(flower.subprocess, "Popen", popen)
    with contextlib.suppress(Started), flower._superlink(tmp_path, tmp_path):
        pytest.fail("a process was started")
    assert seen["RAY_ADDRESS"] == "local"
