"""The project's own key: Ed25519, signs the manifest of every kit; its fingerprint is what an operator tells sites."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedmce.errors import IdentityError
from fedmce.kits.keys import kind, openssh, public_part
from fedmce.kits.private_files import open_to_others

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def new_project_key() -> Ed25519PrivateKey:
    """A new key."""
    return Ed25519PrivateKey.generate()


def project_key_file(key: Ed25519PrivateKey) -> bytes:
    """Content of the key's file."""
    return openssh(key)


def read_project_key(path: Path) -> Ed25519PrivateKey:
    """Read the project's private key.

    Raises:
        IdentityError: it is not there, others can read it, or it is no Ed25519 key in OpenSSH's format.
    """
    needed = "needed the project's Ed25519 key, which `fedmce provision` made"
    try:
        exposed, content = open_to_others(path), path.read_bytes()
    except OSError as error:
        raise IdentityError(
            f"{path}: cannot be read ({error.strerror}); {needed}. bring the folder project/ back if it is kept elsewhere"
        ) from None
    if exposed:
        raise IdentityError(f"{path}: mode {exposed}, so others can sign kits; needed 0600. chmod 600 {path}")
    try:
        key = serialization.load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise IdentityError(f"{path}: no readable key; {needed}. restore it from a copy") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path}: a key of type {kind(key)}; {needed}. restore it from a copy")
    return key


def fingerprint_of(public: bytes) -> str:
    """``SHA256:...`` of a raw public key (32 bytes), as ``ssh-keygen -l`` prints it.

    Raises:
        ValueError: not 32 bytes.
    """
    return public_part(Ed25519PublicKey.from_public_bytes(public)).fingerprint


def as_fingerprint(given: str) -> str:
    """A fingerprint as a person may have typed it, with or without its prefix and padding.

    Raises:
        IdentityError: it is none.
    """
    text = given.strip().rstrip("=")
    text = text if text.startswith("SHA256:") else f"SHA256:{text}"
    try:
        if _FINGERPRINT.fullmatch(text):
            base64.b64decode(text.removeprefix("SHA256:") + "=", validate=True)
            return text
    except binascii.Error:
        pass
    raise IdentityError(
        f"fingerprint: given {given[:80]!r}; needed SHA256: and 43 characters, as `fedmce provision` printed it. "
        "ask the operator to read it out again"
    )
