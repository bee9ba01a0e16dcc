"""``MANIFEST`` of a kit: sha256 of every file, signed by the project's key.

Plain text with one way to write each thing, so that no byte can be changed without a word::

    fedmce-kit 1
    project <public key, 64 hexadecimal digits>
    file <sha256> <name>
    signature <128 hexadecimal digits>

The signature (Ed25519, RFC 8032) is over every byte before its own line. The public key stands in the file, so a
manifest proves only that its files are those of *some* project; that it is the right one, the fingerprint says,
which the operator tells by another channel.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedmce.kits.project_key import fingerprint_of

MANIFEST = "MANIFEST"
HEAD = "fedmce-kit 1"
_FORM = re.compile(
    rb"(?P<signed>"
    + HEAD.encode()
    + rb"\nproject (?P<project>[0-9a-f]{64})\n(?P<files>(?:file [0-9a-f]{64} [A-Za-z0-9._-]{1,100}\n){1,100}))"
    rb"signature (?P<signature>[0-9a-f]{128})\n"
)


@dataclass(frozen=True)
class Manifest:
    """A manifest whose signature fits its own key.

    Attributes:
        fingerprint: of the project's key.
        files: sha256 by name.
    """

    fingerprint: str
    files: Mapping[str, str]


def sign_manifest(files: Mapping[str, bytes], key: Ed25519PrivateKey) -> bytes:
    """The manifest of some files.

    Args:
        files: content by name; names of letters, digits, dot, dash and underscore.
        key: the project's.
    """
    lines = [HEAD, f"project {key.public_key().public_bytes_raw().hex()}"]
    lines += [f"file {hashlib.sha256(files[name]).hexdigest()} {name}" for name in sorted(files)]
    signed = ("\n".join(lines) + "\n").encode()
    content = signed + f"signature {key.sign(signed).hex()}\n".encode()
    read_manifest(content)  # what we write, we can read
    return content


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest and check its signature.

    Raises:
        ValueError: another form, or a signature that does not fit.
    """
    found = _FORM.fullmatch(content)
    if not found:
        raise ValueError("not in the form of a kit's manifest")
    public = bytes.fromhex(found["project"].decode())
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(found["signature"].decode()), found["signed"])
    except InvalidSignature:
        raise ValueError("its signature does not fit") from None
    listed = [line.split(" ") for line in found["files"].decode().splitlines()]
    if len({name for _, _, name in listed}) != len(listed):
        raise ValueError("a file is listed twice")
    return Manifest(fingerprint_of(public), {name: sha256 for _, sha256, name in listed})
