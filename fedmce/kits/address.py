"""Where sites reach the server: ``HOST:PORT``, and the names that a certificate can be for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from fedmce.errors import ConfigError

_HOST = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*", re.I
)


@dataclass(frozen=True)
class Address:
    """A host, by name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def read_address(given: str) -> Address:
    """``host:port``, ``1.2.3.4:port`` or ``[::1]:port``.

    Raises:
        ConfigError: it is not that.
    """
    host, colon, port = given.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an IPv6 address without brackets: where its port begins is anybody's guess
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"server: given {given[:80]!r}; needed HOST:PORT, such as fl.example.org:9443 or [::1]:9443")
    return Address(read_name(host, "server"), int(port))


def read_name(given: str, where: str = "san") -> str:
    """A host name or IP address, in the form in which a certificate has it.

    Raises:
        ConfigError: it is neither.
    """
    try:
        found = ip_address(given)
    except ValueError:
        pass
    else:
        if isinstance(found, IPv6Address) and found.scope_id:
            raise ConfigError(f"{where}: given {given[:80]!r}; needed an address without a zone")
        return str(found)
    # Four numbers are a mistyped address, not a name.
    if not _HOST.fullmatch(given) or re.fullmatch(r"[0-9.]+", given):
        raise ConfigError(f"{where}: given {given[:80]!r}; needed a host name or an IP address")
    return given.lower()
