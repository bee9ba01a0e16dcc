"""Projects, kits and keys as `fedmce provision` makes them, at a fixed time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fedmce.cli.provision import deployed_plan
from fedmce.config.schema import RunConfig
from fedmce.kits.address import read_address
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder, read_server

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@lru_cache(maxsize=1)
def plan() -> RunConfig:
    """Composed once: Hydra takes a second."""
    return deployed_plan(["rounds=3"])


def request(**given: Any) -> Request:
    """Two sites and a server with a name."""
    usual: dict[str, Any] = {"sites": ("north", "south"), "server": read_address("fl.example.org:9443"), "days": 90}
    return Request(**(usual | given))


def project(out: Path, **given: Any) -> ServerFolder:
    """A provisioned project."""
    return provision(out, plan(), request(**given), NOW)


def digest(folder: ServerFolder) -> str:
    """The code that its kits are for: given to checks, so that they do not hash the checkout again."""
    return read_server(folder.path)[1].app_digest


def fingerprint(folder: ServerFolder) -> str:
    """Of the project's key."""
    return read_server(folder.path)[1].project


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def openssh(key: Any, password: bytes | None = None) -> bytes:
    """A private key as OpenSSH writes it."""
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock))


def pem(key: Any, password: bytes | None = None) -> bytes:
    """A private key as OpenSSL writes it."""
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))


def public(key: Any) -> bytes:
    """The public line of a private key."""
    return bytes(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b" x\n"
    )


@lru_cache(maxsize=1)
def rsa_key() -> rsa.RSAPrivateKey:
    """Slow to make."""
    return rsa.generate_private_key(65537, 2048)


def p384() -> ec.EllipticCurvePrivateKey:
    """What a node key is."""
    return ec.generate_private_key(ec.SECP384R1())


def p256() -> ec.EllipticCurvePrivateKey:
    """Near, and still not a node key."""
    return ec.generate_private_key(ec.SECP256R1())


def ed25519_key() -> ed25519.Ed25519PrivateKey:
    """What a project key is."""
    return ed25519.Ed25519PrivateKey.generate()
