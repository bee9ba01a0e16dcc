"""Whether a site can speak to its server: name, port, TLS, certificate, clock; each failure by its cause."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from fedmce.errors import IdentityError
from fedmce.kits.address import Address
from fedmce.kits.certificate import CertificateFacts, facts
from fedmce.kits.clock import clock_offset, clock_problems
from fedmce.kits.problem import Problem

WAIT_S = 10.0
# Every kind of call that must not be answered from outside (reliability.md 5.3, rule 6).
HIDDEN = (
    ("POST", "/v1/control/list-runs"),
    ("POST", "/v1/control/list-nodes"),
    ("POST", "/v1/runtime/acquire-task"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/health"),
)


def reach_problems(address: Address, authority: Path) -> list[Problem]:
    """What keeps this machine from speaking to the server, and what its clock says; empty if nothing does.

    Args:
        address: of the server, as in the kit.
        authority: certificate of the authority that the kit names.
    """
    where = f"server {address}"
    try:
        context = ssl.create_default_context(cafile=str(authority))
    except OSError as error:  # also what is no certificate
        what = f"cannot be read as a certificate ({error.strerror or error.args[0]})"
        return [Problem("T03", str(authority), what, "Give ca.crt of the server's folder or of a kit.")]
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=WAIT_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host),
        ):
            pass
    except socket.gaierror as error:
        fix = "Check the name in kit.yaml and this machine's name service."
        return [Problem("N09", where, f"its name is not known here ({error.strerror})", fix)]
    except ssl.SSLCertVerificationError as error:
        return [_certificate_problem(where, error, authority, _shown_certificate(address))]
    except ssl.SSLError as error:
        return [_tls_problem(where, error)]
    except TimeoutError:
        fix = f"Ask for an outgoing connection to port {address.port} in this site's firewall, and whether the server is up."
        return [Problem("N05", where, f"no answer within {WAIT_S:.0f} s", fix)]
    except OSError as error:
        fix = f"Ask the operator whether the server is up, and this site's network for a way to port {address.port}."
        return [Problem("N01", where, f"{error.strerror or error}", fix)]
    return _clock(where, address, authority)


def _shown_certificate(address: Address) -> CertificateFacts | None:
    """What the server's certificate says of itself, believed in nothing; None if it cannot be had."""
    try:
        shown = ssl.get_server_certificate((address.host, address.port), timeout=WAIT_S)
        return facts(x509.load_pem_x509_certificate(shown.encode()))
    except (OSError, ValueError):
        return None


def _certificate_problem(
    where: str, error: ssl.SSLCertVerificationError, authority: Path, shown: CertificateFacts | None
) -> Problem:
    text = error.verify_message
    if error.verify_code in (9, 10):  # not yet valid, expired
        fix = "The operator renews it: fedmce server renew. If this machine's clock is wrong, set it."
        dates = f" ({shown.dates}, and it is {datetime.now(UTC):%Y-%m-%d %H:%M})" if shown else ""
        return Problem("T04", where, f"its certificate is out of date: {text}{dates}", fix)
    if error.verify_code in (62, 64):  # host name, address
        fix = "Use a name that it is for, or the operator adds this one: fedmce server renew --san NAME."
        names = f" (it is for {', '.join(shown.names)})" if shown else ""
        return Problem("T05", where, f"its certificate is for another name: {text}{names}", fix)
    fix = f"Compare the authority {authority} with the operator's; the kit may be another project's."
    return Problem("T03", where, f"certificate verify failed: {text}", fix)


def _tls_problem(where: str, error: ssl.SSLError) -> Problem:
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE"):
        fix = "Check the port: TLS ends at the proxy of reliability, not at Flower's own port without TLS."
        return Problem("T02", where, f"it does not speak TLS ({reason})", fix.replace(" of reliability", ""))
    return Problem("T19", where, f"no TLS connection ({reason})", "TLS 1.2 or later is needed on both sides.")


def _clock(where: str, address: Address, authority: Path) -> list[Problem]:
    try:
        before = datetime.now(UTC)
        _, headers = _ask(address, authority, "GET", "/")
        middle = before + (datetime.now(UTC) - before) / 2
        date = headers.get("date")
        return clock_problems(clock_offset(date, middle)) if date else []
    except (OSError, http.client.HTTPException, IdentityError) as error:
        fix = "Check that the address is that of the federation's proxy."
        return [Problem("N11", where, f"TLS works, but no HTTP answer came ({type(error).__name__})", fix)]


def outside_problems(address: Address, authority: Path) -> list[Problem]:
    """Calls that answer from outside although only the twelve of sites should: each must be 404 at the proxy."""
    found = []
    for method, path in HIDDEN:
        try:
            status, _ = _ask(address, authority, method, path)
        except (OSError, http.client.HTTPException):
            continue  # no answer is as good as none
        if status not in (404, 403, 400):
            fix = "Put the proxy recipe before the SuperLink and bind the SuperLink to 127.0.0.1 alone."
            found.append(Problem("N12", f"{method} {path}", f"answered {status} from outside; needed 404", fix))
    return found


def _ask(address: Address, authority: Path, method: str, path: str) -> tuple[int, dict[str, str]]:
    context = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection(address.host, address.port, timeout=WAIT_S, context=context)
    try:
        connection.request(method, path, body=b"" if method == "POST" else None)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()
