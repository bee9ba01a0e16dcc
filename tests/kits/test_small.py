from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedmce.errors import ConfigError, IdentityError
from fedmce.kits.address import Address, read_address, read_name
from fedmce.kits.clock import AHEAD_S, BEHIND_S, clock_offset
from fedmce.kits.yaml_text import read_yaml
from tests.kits.made import NOW


@pytest.mark.parametrize(
    ("given_", "host", "port", "is_loopback"),
    [
        ("localhost:9443", "localhost", 9443, True),
        ("127.0.0.1:1", "127.0.0.1", 1, True),
        ("[::1]:65535", "::1", 65535, True),
        ("FL.Example.org:443", "fl.example.org", 443, False),
        ("[2001:db8:0:0::1]:443", "2001:db8::1", 443, False),
        ("10.0.0.1:443", "10.0.0.1", 443, False),
    ],
)
def test_an_address_is_read_and_written_back(given_: str, host: str, port: int, is_loopback: bool) -> None:
    read = read_address(given_)
    assert (read.host, read.port, read.is_loopback) == (host, port, is_loopback)
    assert read_address(str(read)) == read


@pytest.mark.parametrize(
    "given_",
    ["", "host", ":1", "host:", "host:0", "host:65536", "host:x", "host:²", "::1:443", "a b:1", "http://h:1", "-h:1"]
    + ["1.2.3:4", "[fe80::1%eth0]:4", "a..b:1", "h/../x:1", "host:1\n2"],
)
def test_what_is_no_address_is_refused(given_: str) -> None:
    with pytest.raises(ConfigError, match="needed"):
        read_address(given_)


def test_a_name_has_one_form() -> None:
    assert read_name("LOCALHOST") == "localhost"
    assert str(Address("::1", 4)) == "[::1]:4"


@given(st.floats(-1e5, 1e5), st.integers(0, 999_999))
def test_the_offset_of_a_clock_is_right_to_half_a_second(offset_s: float, fraction_us: int) -> None:
    server = NOW + timedelta(microseconds=fraction_us)
    header = format_datetime(server.replace(microsecond=0), usegmt=True)
    assert abs(clock_offset(header, server + timedelta(seconds=offset_s)) - offset_s) <= 0.5 + 1e-5


@pytest.mark.parametrize("header", ["", "yesterday", "2026-11-21T00:00:00Z", "\x00" * 100])
def test_a_header_that_is_no_date_is_refused(header: str) -> None:
    with pytest.raises(IdentityError, match="Date header"):
        clock_offset(header, datetime.now(UTC))


def test_the_limits_of_a_clock_are_flower_s() -> None:
    from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE

    assert (AHEAD_S, BEHIND_S) == (SYSTEM_TIME_TOLERANCE, SYSTEM_TIME_TOLERANCE + TIMESTAMP_TOLERANCE)


@pytest.mark.parametrize(
    "content",
    [
        b"a: &x [1]\nb: *x\n",
        b"a: 1\na: 2\n",
        b"a: 1\nb: {c: 1, c: 2}\n",
        b"a: [",
        b"!!python/object:os.x {}",
        b"\ta: 1",
    ],
)
def test_yaml_that_could_hide_something_is_refused(content: bytes) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(content)


def test_yaml_beyond_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(yaml.YAMLError, match="bytes"):
        read_yaml(b"a" * (1024 * 1024 + 1))


def test_plain_yaml_is_read() -> None:
    assert read_yaml(b"a: [1, 2]\nb: {c: x}\n") == {"a": [1, 2], "b": {"c": "x"}}
