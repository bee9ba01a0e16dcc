"""A site that waits for its server: in words, not too many of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedmce.errors import NetworkError
from fedmce.kits.problem import Problem
from simulations.deployment import client_join
from simulations.deployment.client_join import SiteRun

DOWN = Problem("N01", "server", "Connection refused", "Ask the operator.")


class Clock:
    """Time passes by sleeping alone."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(client_join, "time", made)
    return made


def site(said: list[str]) -> SiteRun:
    kit: Any = SimpleNamespace(
        file=SimpleNamespace(address=None, server="server", site="ash"), authority=Path("ca.crt")
    )
    return SiteRun(kit, Path("data"), Path("home"), 9094, said.append, lambda: False)


def test_C19_a_server_that_is_down_is_waited_for_with_one_line_a_minute(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, said = clock.now, list[str]()
    monkeypatch.setattr(client_join, "reach_problems", lambda *_: [DOWN] if clock.now < began + 600 else [])
    site(said)._await_server()
    assert 600 <= clock.now - began < 605
    assert 9 <= len(said) <= 11
    assert all("waiting for the server" in line and "Connection refused" in line for line in said)


def test_C19_a_server_that_is_not_the_right_one_is_not_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Problem("T03", "server", "certificate verify failed", "Compare the authority.")
    monkeypatch.setattr(client_join, "reach_problems", lambda *_: [wrong])
    began = clock.now
    with pytest.raises(NetworkError, match="certificate verify failed"):
        site([])._await_server()
    assert clock.now == began
