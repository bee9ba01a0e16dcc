"""Node keys: who a site is. NIST P-384 in OpenSSH's format, which is what flwr 1.41 reads.

``flower-supernode --auth-supernode-private-key`` takes no other container and any elliptic curve; an encrypted key
ends it with a trace, any other file with "Unable to parse". So a key is judged here first, each fault by name.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from fedmce.kits.private_files import make_private_folder, open_to_others, write_private
from fedmce.kits.problem import Problem, refuse

PRIVATE, PUBLIC = "node.key", "node.pub"
NEEDED = "needed an unencrypted NIST P-384 private key in OpenSSH's format"
MAKE = "Make one with `fedmce client keygen DIR` and send the new node.pub to the operator."
LARGEST = 64 * 1024  # bytes; no key is near it
_ABOUT = "ecdsa-sha2-nistp384"


@dataclass(frozen=True)
class PublicKey:
    """What others may know of a key.

    Attributes:
        line: as in an ``authorized_keys`` file, without a comment.
        fingerprint: ``SHA256:...`` as ``ssh-keygen -l`` prints it.
    """

    line: str
    fingerprint: str

    def named(self, comment: str) -> bytes:
        """Content of a ``.pub`` file."""
        return f"{self.line} {comment}\n".encode()


def new_node_key() -> tuple[bytes, PublicKey]:
    """A new key pair: content of the private file, and the public key."""
    key = ec.generate_private_key(ec.SECP384R1())
    return openssh(key), public_part(key.public_key())


def make_node_key(folder: Path, comment: str = "fedmce-node") -> PublicKey:
    """Write a new key pair as ``node.key`` (0600) and ``node.pub`` into a folder, which is made (0700) if need be.

    Raises:
        IdentityError: a key is there already; it is never overwritten.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        make_private_folder(folder)
    for path in (folder / PRIVATE, folder / PUBLIC):
        if os.path.lexists(path):
            fix = "Give another folder; or, to change the key of this site, move the old one away first."
            refuse([Problem("T09", str(path), "there is a key already; a key is never overwritten", fix)], str(path))
    private, public = new_node_key()
    write_private(folder / PRIVATE, private)
    write_private(folder / PUBLIC, public.named(comment))
    return public


def openssh(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A private key as OpenSSH's own, unencrypted, text."""
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, none)


def public_part(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> PublicKey:
    """A public key as OpenSSH's line, with its fingerprint."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return PublicKey(line, "SHA256:" + base64.b64encode(digest).decode().rstrip("="))


def read_node_key(path: Path) -> PublicKey:
    """The public part of a private node key, once the file is one that Flower takes and that nobody else can read.

    Raises:
        IdentityError: it is not; every reason is in the message (T08, T09).
    """
    problems = node_key_problems(path)
    refuse(problems, str(path))
    key = serialization.load_ssh_private_key(Path(path).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return public_part(key.public_key())


def node_key_problems(path: Path) -> list[Problem]:
    """What is wrong with a private node key: open to others (T08), or not a key that Flower takes (T09).

    Of the content nothing but the kind of key is told.
    """
    path = Path(path)
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return [Problem("T09", str(path), f"is no regular file; {NEEDED}", MAKE)]
        exposed = open_to_others(path)
        content = path.read_bytes() if found.st_size <= LARGEST else b""
    except FileNotFoundError:
        return [Problem("T09", str(path), f"is not there; {NEEDED}", MAKE)]
    except OSError as error:
        fix = "Give it to the user that runs the site's node."
        return [Problem("T08", str(path), f"cannot be read ({error.strerror}); {NEEDED}", fix)]
    problems = []
    if exposed:
        what = f"mode {exposed}, so others on this machine can read or change the key; needed 0600"
        problems.append(Problem("T08", str(path), what, f"chmod 600 {path}"))
    if fault := private_fault(content):
        problems.append(Problem("T09", str(path), f"{fault}; {NEEDED}", MAKE))
    return problems


def private_fault(content: bytes) -> str | None:
    """Why Flower would not take this private key, in a few words; None if it would."""
    text = content.lstrip()
    if not text:
        return "is empty, or far too large for a key"
    if text.startswith((b"ssh-", b"ecdsa-", b"---- BEGIN SSH2 PUBLIC", b"-----BEGIN PUBLIC", b"-----BEGIN RSA PUBLIC")):
        return "is a public key"
    if not text.startswith(b"-----BEGIN "):
        return "is no key"
    is_openssh = text.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(content, None)
    except TypeError:
        return "is encrypted with a password, which no service can type"
    except (ValueError, UnsupportedAlgorithm):
        return "is truncated, damaged or no private key"
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1)):
        return f"is a key of type {kind(key)}"
    return None if is_openssh else "is a P-384 key in another format (PEM)"


def read_public_key(path: Path) -> PublicKey:
    """A site's public key from a ``.pub`` file; its comment is dropped.

    Raises:
        IdentityError: the file is not a P-384 public key (T09).
    """
    path = Path(path)
    fix = "Ask the site for node.pub of `fedmce client keygen`."
    needed = "needed a NIST P-384 public key, one line that begins with ecdsa-sha2-nistp384"
    try:
        content = path.read_bytes()[:LARGEST]
    except OSError as error:
        refuse([Problem("T09", str(path), f"cannot be read ({error.strerror}); {needed}", fix)], str(path))
        raise AssertionError from None
    if b"PRIVATE KEY" in content:
        fix = "A private key never leaves its site: have the site make a new pair and send node.pub."
        refuse([Problem("T09", str(path), f"is a private key; {needed}", fix)], str(path))
    fault, key = None, None
    try:
        key = serialization.load_ssh_public_key(b" ".join(content.split()[:2]))
        if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)):
            fault = f"is a key of type {kind(key)}"
    except (ValueError, UnsupportedAlgorithm):
        fault = "is truncated, damaged or no public key"
    if fault:
        refuse([Problem("T09", str(path), f"{fault}; {needed}", fix)], str(path))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return public_part(key)


def kind(key: object) -> str:
    """The name of a key's type, such as ``RSA`` or ``NIST P-256``."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return "RSA"
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(key, ed448.Ed448PrivateKey | ed448.Ed448PublicKey):
        return "Ed448"
    if isinstance(key, dsa.DSAPrivateKey | dsa.DSAPublicKey):
        return "DSA"
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        names = {"secp256r1": "NIST P-256", "secp384r1": "NIST P-384", "secp521r1": "NIST P-521"}
        return names.get(key.curve.name, f"elliptic curve {key.curve.name}")
    return "another kind"
