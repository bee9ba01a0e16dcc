"""A site that waits for its server: in words, not too many of them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client.worker.place import Lock
from fedmce.errors import NetworkError, StateError
from fedmce.kits.problem import Problem
from simulations.deployment import client_join
from simulations.deployment.client_join import SiteRun
from simulations.ports import free_ports

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


def test_a_site_whose_disk_is_full_is_told_once_a_minute_until_there_is_room(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, began = list[str](), clock.now
    monkeypatch.setattr(client_join, "free_bytes", lambda _: 0 if clock.now - began < 150 else 2**30)
    one = site(said)
    for _ in range(200):
        one._tell_of_a_full_disk()
        clock.sleep(1.0)
    assert (
        said == ["the disk of home is full (0.0 MiB free): rounds are answered with disk_full until there is room"] * 3
    )


def test_C18_a_second_command_on_one_home_is_told_who_has_it_and_ends_nothing_of_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*_: object) -> None:
        raise AssertionError("what the first command started was ended")

    first = Lock(tmp_path / "home" / "join")
    (tmp_path / "home").mkdir(mode=0o700)
    assert first.take()
    monkeypatch.setattr(client_join, "stop_all", stopped)
    second = site([])
    second.home, second.port = tmp_path / "home", free_ports(2)
    with pytest.raises(StateError, match=f"process {os.getpid()} keeps a site up"):
        second.join()
    first.drop()
