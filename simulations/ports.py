"""Ports for processes that this program starts, and whether one that a user names can be had."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack

import psutil

from fedmce.errors import NetworkError

# Linux gives 32768 and above to outgoing connections: one of these could take a port between our look and its use.
PORTS = range(20_000, 32_000)
TRIES = 100


def free_ports(count: int = 1, hosts: Sequence[str] = ("127.0.0.1",)) -> int:
    """The first of so many ports in a row that nobody has at any of these addresses now.

    Raises:
        NetworkError: none was found.
    """
    for _ in range(TRIES):
        first = PORTS[secrets.randbelow(len(PORTS) - count + 1)]
        if _are_free(range(first, first + count), hosts):
            return first
    raise NetworkError(
        f"ports {PORTS[0]} to {PORTS[-1]}: no {count} free in a row in {TRIES} tries; end what listens there"
    )


def _are_free(ports: range, hosts: Sequence[str]) -> bool:
    with ExitStack() as held:
        for host in hosts:
            for port in ports:
                probe = held.enter_context(_probe(host))
                try:
                    probe.bind((host, port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    return False
    return True


def _probe(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)


def check_port_is_free(host: str, port: int, option: str) -> None:
    """Raise unless a server can listen there.

    Raises:
        NetworkError: somebody listens already, or the address is not this machine's (N18).
    """
    with _probe(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NetworkError(
                f"port {port} of {host}: {error.strerror}{_listener(port)}; needed a free one. stop that process, or give "
                f"another with {option}"
            ) from None


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and tuple(connection.laddr)[1:] == (port,):
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
