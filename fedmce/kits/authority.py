"""The project's certificate authority, and the server's certificate that it signs (X.509, ECDSA on NIST P-256)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedmce.errors import IdentityError
from fedmce.kits.certificate import read_certificate
from fedmce.kits.private_files import open_to_others

AUTHORITY_DAYS = 3653  # sites keep ca.crt, so it outlives every server certificate
EARLIER = timedelta(hours=1)  # valid from so long ago: clocks of sites differ


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, both as PEM; the key is not shown."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that can sign.

    Attributes:
        certificate: its own, self-signed.
        key: its private key; not shown.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def issued(self) -> Issued:
        """What its two files hold."""
        return Issued(_pem(self.certificate), _key_pem(self.key))


def make_authority(now: datetime, days: int = AUTHORITY_DAYS) -> Authority:
    """A new authority that may sign server certificates, and no further authority.

    Its name has eight random digits: two projects on one machine must not look alike to a program that picks the
    signer by name.

    Args:
        now: aware time; valid from an hour before.
        days: how long it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"FedMCE project {secrets.token_hex(4)}")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(own, critical=False)
    )
    return Authority(built.sign(key, hashes.SHA256()), key)


def issue(authority: Authority, names: Sequence[str], days: int, now: datetime) -> Issued:
    """A new server certificate with a new key; also how one is renewed, since sites trust the authority.

    Args:
        authority: signs it.
        names: host names and IP addresses under which sites and the proxy reach the server.
        days: how long it is valid.
        now: aware time; valid from an hour before.

    Raises:
        IdentityError: it would outlive the authority.
    """
    end, last = now + timedelta(days=days), authority.certificate.not_valid_after_utc
    if end > last:
        raise IdentityError(
            f"server certificate: {days} days end on {end:%Y-%m-%d}; the authority of the project ends on "
            f"{last:%Y-%m-%d}. give fewer days, or provision the project anew"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    signer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = (
        _builder(_name(names[0]), authority.certificate.subject, key.public_key(), now, end)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Python from 3.13 on refuses a certificate without it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
    )
    return Issued(_pem(built.sign(authority.key, hashes.SHA256())), _key_pem(key))


def read_authority(certificate: Path, key: Path) -> Authority:
    """Read the authority from its two files.

    Raises:
        IdentityError: one is missing or unreadable, the key is open to others, or they do not belong together.
    """
    own = read_certificate(certificate)
    private = read_private_pem(key, "the authority's key, which `fedmce provision` made")
    if own.public_key() != private.public_key():
        raise IdentityError(
            f"{key}: not the key of {certificate}; needed the two files of one `fedmce provision`. restore them together"
        )
    return Authority(own, private)


def read_private_pem(path: Path, needed: str, *, may_be_open: bool = False) -> ec.EllipticCurvePrivateKey:
    """An elliptic-curve private key from a PEM file that only its owner can read.

    Args:
        path: the file.
        needed: what it should be, for the message.
        may_be_open: take it although others can read it; for who reports that by itself.

    Raises:
        IdentityError: it is not one.
    """
    try:
        exposed, content = open_to_others(path), path.read_bytes()
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror}); needed {needed}. bring it back") from None
    if exposed and not may_be_open:
        raise IdentityError(f"{path}: mode {exposed}, so others can read the key; needed 0600. chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError):
        raise IdentityError(f"{path}: no readable key; needed {needed}. restore it from a copy") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError(f"{path}: a key of another type; needed {needed}. restore it from a copy")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(end)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
