"""Ports that this program chooses: free, in a row, and not such as the system gives to others in the meantime."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmce.errors import NetworkError
from simulations import ports
from simulations.ports import check_port_is_free, free_ports

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port that somebody has, the third of five that may be chosen."""
    first = free_ports(5)
    monkeypatch.setattr(ports, "PORTS", range(first, first + 5))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 2))
        yield first + 2


def test_a_row_of_ports_never_holds_one_that_somebody_has(held: int) -> None:
    assert {free_ports(2) for _ in range(50)} == {held - 2, held + 1}


def test_a_row_that_is_not_there_is_said(held: int) -> None:
    with pytest.raises(NetworkError, match=f"ports {held - 2} to {held + 2}: no 3 free in a row"):
        free_ports(3)


def test_a_port_that_is_free_at_one_address_alone_is_not_taken(held: int) -> None:
    assert {free_ports(1, ["127.0.0.2"]) for _ in range(100)} == set(range(held - 2, held + 3))
    assert held not in {free_ports(1, ["127.0.0.2", "127.0.0.1"]) for _ in range(100)}


def test_a_port_of_an_outgoing_connection_is_not_free() -> None:
    """What made a second command on one home fail by its health port, which was somebody's connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as other,
        pytest.raises(NetworkError, match=r"Address already in use.*--port"),
    ):
        check_port_is_free("127.0.0.1", other.getsockname()[1], "--port")


@pytest.mark.skipif(not RANGE.exists(), reason="not Linux")
def test_no_outgoing_connection_can_take_a_chosen_port() -> None:
    lowest = int(RANGE.read_text().split()[0])
    if lowest < 32_768:
        pytest.skip(f"this machine gives ports from {lowest} on to outgoing connections, not from 32768 as Linux does")
    assert ports.PORTS.stop <= lowest
