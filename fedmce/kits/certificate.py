"""Reading certificates: dates, names, signer, and what of them will make a connection fail (T03-T05)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from fedmce.errors import IdentityError
from fedmce.kits.problem import Problem

WARN_DAYS = 30
RENEW = "Renew it at the server with `fedmce server renew` and restart the proxy; sites need nothing new."
ANEW = "The project's authority has ended: provision anew and give every site a new kit."


@dataclass(frozen=True)
class CertificateFacts:
    """What a person wants to know of a certificate.

    Attributes:
        subject: whom it names.
        issuer: who signed it.
        names: host names and IP addresses that it is for.
        not_before: valid from, UTC.
        not_after: valid until, UTC.
        is_authority: it may sign others.
        sha256: of the whole certificate, hexadecimal.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    is_authority: bool
    sha256: str

    @property
    def dates(self) -> str:
        """From when to when."""
        return f"valid {self.not_before:%Y-%m-%d %H:%M} to {self.not_after:%Y-%m-%d %H:%M} UTC"

    def is_for(self, name: str) -> bool:
        """Whether a client that asked for this host or address may accept the certificate (RFC 6125)."""
        try:
            wanted = str(ip_address(name))
        except ValueError:
            return any(_matches(pattern, name) for pattern in self.names)
        return wanted in self.names


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file.

    Raises:
        IdentityError: the file cannot be read or holds none.
    """
    found = _load(Path(path))
    if isinstance(found, Problem):
        raise IdentityError(str(found))
    return found


def facts(certificate: x509.Certificate) -> CertificateFacts:
    """What a certificate says of itself; absent extensions read as no name and no authority."""
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_authority=_is_authority(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def certificate_problems(
    path: Path,
    names: Iterable[str] = (),
    now: datetime | None = None,
    *,
    authority: Path | None = None,
    until: datetime | None = None,
) -> list[Problem]:
    """Why connections with the certificate of a file fail, or soon will.

    Args:
        path: PEM file; its first certificate counts.
        names: host names and addresses that clients ask for.
        now: aware time; default the clock's.
        authority: file of the authority that clients trust; None: the signer is not looked at.
        until: the certificate must last until then, such as the end of a run.
    """
    certificate, signer = _load(Path(path)), _load(Path(authority)) if authority is not None else None
    for read in (certificate, signer):
        if isinstance(read, Problem):
            return [read]
    assert isinstance(certificate, x509.Certificate)
    found = problems_with(certificate, str(path), names, now, until=until)
    if isinstance(signer, x509.Certificate) and authority is not None:
        found += signer_problems(certificate, signer, str(path), authority)
    return found


def problems_with(
    certificate: x509.Certificate,
    where: str,
    names: Iterable[str] = (),
    now: datetime | None = None,
    *,
    until: datetime | None = None,
) -> list[Problem]:
    """Dates (T04) and names (T05) of a certificate, wherever it came from; see :func:`certificate_problems`."""
    now = datetime.now(UTC) if now is None else now
    known = facts(certificate)
    found = _date_problems(known, where, now, until)
    missing = [name for name in names if not known.is_for(name)]
    if missing:
        what = f"not for {', '.join(missing)}; it is for {', '.join(known.names) or 'no name'}"
        fix = "Connect by one of these names, or `fedmce server renew --san NAME` at the server."
        found.append(Problem("T05", where, what, fix))
    return found


def signer_problems(
    certificate: x509.Certificate, signer: x509.Certificate, where: str, trusted: Path
) -> list[Problem]:
    """Whether the authority of the file ``trusted`` signed the certificate (T03)."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        what = (
            f"certificate verify failed: signed by {certificate.issuer.rfc4514_string()}, not by the authority in "
            f"{trusted} ({signer.subject.rfc4514_string()})"
        )
        return [Problem("T03", where, what, "Use ca.crt of the kit that the operator of this server made.")]
    return []


def _load(path: Path) -> x509.Certificate | Problem:
    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"cannot be read ({error.strerror}); needed a certificate"
        return Problem("T03", str(path), what, "Check the path and its permissions.")
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        what = "holds no readable certificate; needed PEM text that begins with BEGIN CERTIFICATE"
        return Problem("T03", str(path), what, "Copy it again.")


def _date_problems(known: CertificateFacts, where: str, now: datetime, until: datetime | None) -> list[Problem]:
    renew = ANEW if known.is_authority else RENEW
    if now < known.not_before:
        what = f"not yet valid; {known.dates}, and it is {now:%Y-%m-%d %H:%M}"
        return [Problem("T04", where, what, "Check this machine's clock; if it is right, the server's was ahead.")]
    if now >= known.not_after:
        return [Problem("T04", where, f"expired; {known.dates}, and it is {now:%Y-%m-%d %H:%M}", renew)]
    if until is not None and until > known.not_after:
        what = f"ends before the run, which may last until {until:%Y-%m-%d %H:%M}; {known.dates}"
        return [Problem("T04", where, what, renew)]
    if known.not_after - now < timedelta(days=WARN_DAYS):
        what = f"ends in {(known.not_after - now).days} days; {known.dates}"
        return [Problem("T04", where, what, renew, is_warning=True)]
    return []


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
    return (*listed.get_values_for_type(x509.DNSName), *addresses)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _matches(pattern: str, name: str) -> bool:
    """A star stands for exactly one label, the first."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == name
    first, _, rest = name.partition(".")
    return bool(first) and rest == pattern[2:]
