import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fedmce.errors import IdentityError
from fedmce.kits.authority import Issued, issue, make_authority, read_authority
from fedmce.kits.certificate import CertificateFacts, facts, read_certificate
from fedmce.kits.server_folder import ServerFolder
from tests.kits.made import NOW, needs_openssl

NAMES = ("fl.example.org", "localhost", "127.0.0.1", "::1")


def _loaded(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate)


def test_a_server_certificate_is_for_all_its_names_and_for_no_other() -> None:
    known = facts(_loaded(issue(make_authority(NOW), NAMES, 30, NOW)))
    assert set(known.names) == set(NAMES)
    assert all(map(known.is_for, [*NAMES, "FL.example.org", "0:0:0:0:0:0:0:1"]))
    assert not any(map(known.is_for, ["example.org", "x.fl.example.org", "127.0.0.2", "::2", ""]))


def test_a_star_stands_for_one_label() -> None:
    known = CertificateFacts("", "", ("*.example.org",), NOW, NOW, False, "")
    assert known.is_for("fl.example.org")
    assert not any(map(known.is_for, ["example.org", "a.b.example.org", ".example.org"]))


def test_a_certificate_is_valid_for_its_days_from_an_hour_before() -> None:
    known = facts(_loaded(issue(make_authority(NOW), NAMES, 30, NOW)))
    assert (known.not_before, known.not_after) == (NOW - timedelta(hours=1), NOW + timedelta(days=30))


def test_a_certificate_never_outlives_its_authority() -> None:
    authority = make_authority(NOW, days=20)
    issue(authority, NAMES, 20, NOW)
    with pytest.raises(IdentityError, match="21 days end on 2026-12-12"):
        issue(authority, NAMES, 21, NOW)


def test_each_certificate_has_a_key_and_a_number_of_its_own() -> None:
    authority = make_authority(NOW)
    one, two = issue(authority, NAMES, 30, NOW), issue(authority, NAMES, 30, NOW)
    assert one.key != two.key
    assert _loaded(one).serial_number != _loaded(two).serial_number


def test_an_authority_signs_servers_only_and_a_server_nobody() -> None:
    authority = make_authority(NOW)
    server = _loaded(issue(authority, NAMES, 30, NOW))
    own = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (own.ca, own.path_length, facts(server).is_authority) == (True, 0, False)
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


def test_two_authorities_have_different_names() -> None:
    assert make_authority(NOW).certificate.subject != make_authority(NOW).certificate.subject


@needs_openssl
@pytest.mark.parametrize("name", ["fl.example.org", "localhost"])
def test_openssl_accepts_the_certificate_for_its_names(provisioned: ServerFolder, name: str) -> None:
    at = ["-attime", str(int((NOW + timedelta(days=1)).timestamp()))]
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *at, "-CAfile", str(provisioned.authority)]
    done = subprocess.run(
        [*command, "-verify_hostname", name, str(provisioned.certificate)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    other = [*command, "-verify_hostname", "elsewhere.org", str(provisioned.certificate)]
    assert subprocess.run(other, capture_output=True, check=False).returncode != 0


@needs_openssl
@pytest.mark.parametrize("days", [-1, 91])
def test_openssl_and_we_agree_on_the_dates(provisioned: ServerFolder, days: int) -> None:
    from fedmce.kits.certificate import certificate_problems

    at = NOW + timedelta(days=days)
    command = ["openssl", "verify", "-attime", str(int(at.timestamp())), "-CAfile", str(provisioned.authority)]
    done = subprocess.run([*command, str(provisioned.certificate)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert [p.case for p in certificate_problems(provisioned.certificate, now=at)] == ["T04"]


def test_python_s_own_tls_takes_the_pair_and_a_client_that_trusts_the_authority_connects(tmp_path: Path) -> None:
    import socket
    import ssl
    import threading

    now = datetime.now(UTC)
    authority = make_authority(now)
    issued = issue(authority, ["localhost"], 1, now)
    for name, content in (("ca", authority.issued.certificate), ("crt", issued.certificate), ("key", issued.key)):
        (tmp_path / name).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer, args=(listening, server))
        answering.start()
        address = listening.getsockname()
        with (
            socket.create_connection(address, 20) as plain,
            client.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            assert line.recv(2) == b"ok"
        answering.join(20)


def _answer(listening: object, server: object) -> None:
    import socket
    import ssl

    assert isinstance(listening, socket.socket)
    assert isinstance(server, ssl.SSLContext)
    plain, _ = listening.accept()
    with server.wrap_socket(plain, server_side=True) as line:
        line.sendall(b"ok")


def test_an_authority_is_read_back_with_its_own_key_only(own: ServerFolder, tmp_path: Path) -> None:
    read = read_authority(own.authority, own.authority_key)
    assert read.certificate == read_certificate(own.authority)
    with pytest.raises(IdentityError, match="not the key of"):
        read_authority(own.authority, own.key)
    own.authority_key.chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        read_authority(own.authority, own.authority_key)
    own.authority_key.unlink()
    with pytest.raises(IdentityError, match="bring it back"):
        read_authority(own.authority, own.authority_key)
    (tmp_path / "noise").touch(0o600)
    with pytest.raises(IdentityError, match="no readable key"):
        read_authority(own.authority, tmp_path / "noise")
