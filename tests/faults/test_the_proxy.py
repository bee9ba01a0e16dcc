"""The faults themselves: what a test says of the network is what the network does."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fedmce.cli.compose import load_config
from fedmce.kits.address import read_address
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder
from simulations.ports import free_ports
from tests.faults.call_faults import (
    PAGE,
    Reversed,
    answered,
    cut_on_the_way,
    cut_on_the_way_back,
    delayed,
    held,
    repeated,
    unanswered,
)
from tests.faults.fault_proxy import FaultProxy

GONE = (OSError, http.client.HTTPException)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    plan = load_config(["exchange=deployed", "privacy=floors"])
    request = Request(("north",), read_address("localhost:9443"), (), 30, "here", False, {})
    return provision(tmp_path_factory.mktemp("proxy") / "server", plan, request, datetime.now(UTC))


class Upstream(ThreadingHTTPServer):
    """Writes down whole requests and says ``done``, or what is left to be said."""

    daemon_threads = True
    seen: list[tuple[str, bytes]]
    says: list[bytes]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = int(self.headers["content-length"] or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            return
        assert isinstance(self.server, Upstream)
        self.server.seen.append((self.path, body))
        said = self.server.says.pop(0) if self.server.says else b"done"
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def behind(folder: ServerFolder) -> Iterator[Upstream]:
    server = Upstream(("127.0.0.1", 0), Handler)
    server.seen, server.says = [], []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate, folder.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def made(folder: ServerFolder, behind: Upstream) -> FaultProxy:
    upstream = ("localhost", int(behind.server_address[1]))
    proxy = FaultProxy(("127.0.0.1", free_ports()), upstream, folder.certificate, folder.key, folder.authority)
    proxy.open()
    return proxy


@pytest.fixture
def proxy(folder: ServerFolder, behind: Upstream) -> Iterator[FaultProxy]:
    one = made(folder, behind)
    yield one
    one.heal()
    one.close()


def ask(proxy: FaultProxy, path: str = "/v1/fleet/push-object", body: bytes = b"x" * 64, limit_s: float = 20) -> bytes:
    """A call on a connection of its own; the body of the answer."""
    context = ssl.create_default_context(cafile=str(proxy.authority))
    connection = http.client.HTTPSConnection("localhost", proxy.address[1], timeout=limit_s, context=context)
    try:
        connection.request("POST", path, body=body)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else str(answer.status).encode() + answer.read()
    finally:
        connection.close()


def test_without_a_fault_calls_pass_and_are_noted(proxy: FaultProxy, behind: Upstream) -> None:
    assert ask(proxy) == b"done"
    assert behind.seen == [("/v1/fleet/push-object", b"x" * 64)]
    assert proxy.count("push-object") == 1


def test_a_rule_befalls_calls_of_its_name_so_many_times(proxy: FaultProxy, behind: Upstream) -> None:
    rule = proxy.fault("push-object", answered(503), 2)
    assert ask(proxy, "/v1/fleet/get-run") == b"done"
    assert [ask(proxy)[:3] for _ in range(3)] == [b"503", b"503", b"don"]
    assert rule.hits == 2
    assert len(behind.seen) == 2


def test_a_cut_on_the_way_brings_no_whole_call_and_no_answer(proxy: FaultProxy, behind: Upstream) -> None:
    proxy.fault("push-object", cut_on_the_way(10))
    with pytest.raises(GONE):
        ask(proxy)
    assert behind.seen == []
    assert ask(proxy) == b"done"


def test_a_cut_on_the_way_back_comes_after_the_server_has_done_its_work(proxy: FaultProxy, behind: Upstream) -> None:
    for fault in (cut_on_the_way_back(2), unanswered):
        proxy.fault("push-object", fault)
        with pytest.raises(GONE):
            ask(proxy)
    assert len(behind.seen) == 2


def test_a_repeated_call_arrives_twice_and_is_answered_once(proxy: FaultProxy, behind: Upstream) -> None:
    proxy.fault("", repeated, None)
    assert ask(proxy) == b"done"
    assert len(behind.seen) == 2


@pytest.mark.parametrize("says", [(b"", b"heard"), (b"heard", b""), (b"heard", b"other")])
def test_of_a_repeated_call_no_question_is_lost(proxy: FaultProxy, behind: Upstream, says: tuple[bytes, bytes]) -> None:
    behind.says = list(says)
    proxy.fault("pull-messages", repeated)
    assert ask(proxy, "/v1/fleet/pull-messages") == b"heard"
    assert len(behind.seen) == 2


def test_a_page_comes_in_place_of_the_server(proxy: FaultProxy, behind: Upstream) -> None:
    proxy.fault("pull-messages", answered(200))
    assert ask(proxy, "/v1/fleet/pull-messages") == PAGE
    assert behind.seen == []


def test_a_held_call_arrives_when_it_is_let_go_though_nobody_listens(proxy: FaultProxy, behind: Upstream) -> None:
    gate = threading.Event()
    proxy.fault("push-messages", held(gate))
    with pytest.raises(TimeoutError):
        ask(proxy, "/v1/fleet/push-messages", limit_s=0.5)
    assert behind.seen == []
    gate.set()
    until(lambda: len(behind.seen) == 1)


def test_a_delayed_call_goes_no_further_if_nobody_listens_any_more(proxy: FaultProxy, behind: Upstream) -> None:
    gate = threading.Event()
    proxy.fault("push-messages", delayed(gate), None)
    with pytest.raises(TimeoutError):
        ask(proxy, "/v1/fleet/push-messages", b"first", limit_s=0.5)
    threading.Timer(0.5, gate.set).start()
    assert ask(proxy, "/v1/fleet/push-messages", b"again") == b"done"
    assert behind.seen == [("/v1/fleet/push-messages", b"again")]


def until(law: object, within_s: float = 20.0) -> None:
    assert callable(law)
    end = time.monotonic() + within_s
    while not law():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_black_hole_takes_connections_and_calls_and_gives_nothing_back(proxy: FaultProxy, behind: Upstream) -> None:
    proxy.swallow()
    with pytest.raises(TimeoutError):
        ask(proxy, limit_s=0.5)
    proxy.heal()
    assert ask(proxy) == b"done"
    assert len(behind.seen) == 1


def test_a_closed_port_refuses_and_a_moved_one_answers_elsewhere(proxy: FaultProxy) -> None:
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    proxy.move(("127.0.0.1", free_ports()))
    assert ask(proxy) == b"done"


def test_closing_ends_connections_that_are_open(proxy: FaultProxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.authority))
    connection = http.client.HTTPSConnection("localhost", proxy.address[1], timeout=20, context=context)
    connection.request("POST", "/v1/fleet/get-run", body=b"x")
    assert connection.getresponse().read() == b"done"
    kept = connection.sock
    assert kept is not None
    proxy.close()
    assert kept.recv(1) == b""


@pytest.mark.parametrize(("call", "is_answered"), [("pull-messages", True), ("pull-object", False)])
def test_a_cut_spares_an_answer_that_nobody_gets_again(
    proxy: FaultProxy, behind: Upstream, call: str, is_answered: bool
) -> None:
    """And ends the connection after it."""
    context = ssl.create_default_context(cafile=str(proxy.authority))
    connection = http.client.HTTPSConnection("localhost", proxy.address[1], timeout=20, context=context)
    proxy.latency_s = 0.5
    connection.request("POST", f"/v1/fleet/{call}", body=b"x")
    kept = connection.sock
    assert kept is not None
    until(lambda: proxy.count(call) == 1)
    time.sleep(0.1)
    proxy.cut()
    if is_answered:
        assert connection.getresponse().read() == b"done"
        assert kept.recv(1) == b""
    else:
        with pytest.raises(GONE):
            connection.getresponse()


def test_latency_and_a_slow_line_take_their_time(proxy: FaultProxy) -> None:
    proxy.latency_s = 0.2
    began = time.monotonic()
    ask(proxy)
    assert time.monotonic() - began >= 0.4  # both ways
    proxy.latency_s, proxy.bytes_per_s = 0.0, 200
    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(proxy,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 3 * 68 / 200  # one line for all


def test_a_transparent_proxy_shows_the_certificate_of_whoever_is_behind(proxy: FaultProxy, behind: Upstream) -> None:
    proxy.transparent = True
    assert ask(proxy) == b"done"
    assert proxy.calls == []


def test_calls_are_let_on_in_the_opposite_order(folder: ServerFolder, behind: Upstream) -> None:
    proxies = [made(folder, behind) for _ in range(3)]
    order = Reversed(proxies)

    def site(number: int) -> None:
        until(lambda: len(order.came) == number)
        ask(proxies[number], "/v1/fleet/push-messages", str(number).encode())
        ask(proxies[number], "/v1/fleet/pull-messages", b"next")

    try:
        for one in proxies:
            one.fault("push-messages", order)
        threads = [threading.Thread(target=site, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        until(lambda: len(order.order) == 3)
    finally:
        for one in proxies:
            one.close()
    assert order.came == proxies
    assert order.order == proxies[::-1]
    assert [body for path, body in behind.seen if path.endswith("push-messages")] == [b"2", b"1", b"0"]
