"""A proxy in this process that a site speaks to in place of its server, and that does to the traffic what a test asks.

It ends TLS with the server's own certificate, so it sees calls, not bytes; or hands bytes on as they are
(``transparent``), so that the site's TLS ends at whoever is behind. Faults for single calls are functions of an
:class:`Exchange`; ready ones are in ``call_faults.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 600.0  # longest that anything in here waits
# Flower takes these once: of a question whose answer is lost the site never hears, and a reply is lost of which the site
# announces or sends a part again because the answer to it was.
TAKEN_ONCE = ("pull-messages", "push-messages", "push-object")
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Call:
    """One request as it came: ``name`` is the last part of its path, such as ``push-object``."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Cut(Exception):
    """The connection ends here."""


@dataclass
class Exchange:
    """A call that has arrived, and the two ways from here."""

    call: Call
    proxy: FaultProxy
    behind: http.client.HTTPSConnection
    client: ssl.SSLSocket
    idle_s: float = 0.0

    def forward(self) -> Answer:
        """Hand the call on; the answer is not sent yet."""
        headers = {k: v for k, v in self.call.headers.items() if k not in HOP}
        if time.time() - self.call.at > 1.0 or self.idle_s > 2.0:
            self.behind.close()  # the server ends what was silent for some seconds; http.client then connects anew
        self.behind.request(self.call.method, self.call.path, body=self.call.body or None, headers=headers)
        got = self.behind.getresponse()
        body = got.read()
        return Answer(got.status, body, {k.lower(): v for k, v in got.getheaders() if k.lower() not in HOP})

    def reply(self, answer: Answer, upto: int | None = None) -> None:
        """Send the answer, or only so many bytes of its body and then nothing more."""
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{k}: {v}" for k, v in answer.headers.items())]
        head = "\r\n".join([*lines, f"content-length: {len(answer.body)}", "", ""]).encode("latin-1")
        self.client.sendall(head + answer.body[:upto])
        if upto is not None:
            raise Cut


Fault = Callable[[Exchange], None]


@dataclass
class Rule:
    """A fault for calls of one name (empty: all), so many times (None: for ever); ``hits`` are those that it befell."""

    name: str
    fault: Fault
    left: int | None
    hits: int = 0


class FaultProxy:
    """The proxy of one site.

    Args:
        listen: address and port; it can be moved.
        upstream: who gets what comes; it can be changed.
        certificate: shown to the site.
        key: of the certificate.
        authority: whom the upstream's certificate must be of.
    """

    def __init__(
        self, listen: tuple[str, int], upstream: tuple[str, int], certificate: Path, key: Path, authority: Path
    ) -> None:
        self.address, self.upstream, self.authority = listen, upstream, authority
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(certificate, key)
        self._client = ssl.create_default_context(cafile=str(authority))
        self.latency_s, self.loss, self.bytes_per_s, self.transparent = 0.0, 0.0, 0, False
        self.calls: list[Call] = []
        self._draw, self._line_free = random.Random(7), 0.0
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self._spared: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._flowing = threading.Event()
        self._flowing.set()

    def open(self) -> None:
        """Listen."""
        if self._listener is not None:
            return
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.address)
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Stop listening, and cut what is connected: to the site, the port is closed."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection now; new ones are taken.

        Without a fault of its own, a call that Flower takes only once is answered before its connection ends: whoever
        cuts means a loss that is made good, and makes the other one with a fault for that call.
        """
        with self._lock:
            live, self._live = self._live, set()
            at_once = live - self._spared
        for one in at_once:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def move(self, address: tuple[str, int]) -> None:
        """Listen elsewhere."""
        self.close()
        self.address = address
        self.open()

    def swallow(self) -> None:
        """From now on nothing that arrives is answered, though connections are taken: a black hole."""
        self._flowing.clear()

    def heal(self) -> None:
        """No fault any more; what was stuck is cut, so that the site notices."""
        self._rules.clear()
        self.latency_s, self.loss, self.bytes_per_s, self.transparent = 0.0, 0.0, 0, False
        self._line_free = 0.0
        if not self._flowing.is_set():
            self._flowing.set()
            self.cut()
        self.open()

    def fault(self, name: str, fault: Fault, times: int | None = 1) -> Rule:
        """Let this happen to the next calls of a name."""
        rule = Rule(name, fault, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def count(self, name: str) -> int:
        """Calls of a name so far."""
        return sum(call.name == name for call in list(self.calls))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._live.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, Cut, http.client.HTTPException, ValueError), client:
            if not self._flowing.wait(PATIENCE_S):
                return
            if self.transparent:
                self._pipe(client)
                return
            with self._server.wrap_socket(client, server_side=True) as tls:
                with self._lock:
                    self._live.discard(client)  # wrapping took its descriptor over
                    self._live.add(tls)
                self._converse(tls)

    def _converse(self, tls: ssl.SSLSocket) -> None:
        host, port = self.upstream
        behind = http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=self._client)
        try:
            with tls.makefile("rb") as reader:
                used = time.time()
                while (call := _read_call(reader)) is not None:
                    self.calls.append(call)
                    if not self._flowing.is_set():
                        self._flowing.wait(PATIENCE_S)
                        return
                    self._handle(Exchange(call, self, behind, tls, call.at - used))
                    with self._lock:
                        self._spared.discard(tls)
                        if tls not in self._live:
                            return
                    used = time.time()
        finally:
            behind.close()
            with self._lock:
                self._live.discard(tls)
                self._spared.discard(tls)

    def _handle(self, exchange: Exchange) -> None:
        fault = self._due(exchange.call.name)
        if fault is not None:
            fault(exchange)
            return
        if exchange.call.name in TAKEN_ONCE:
            with self._lock:
                if exchange.client not in self._live:
                    raise Cut
                self._spared.add(exchange.client)
        self._slow(len(exchange.call.body))
        answer = exchange.forward()
        self._slow(len(answer.body))
        exchange.reply(answer)

    def _slow(self, size: int) -> None:
        # What is lost below TCP is sent again after a third of a second: to whoever is above, a loss is a delay.
        lost = self.loss and self._draw.random() < self.loss
        time.sleep(self.latency_s + (0.3 if lost else 0.0))
        if not self.bytes_per_s:
            return
        with self._lock:  # one line for all connections
            self._line_free = through = max(self._line_free, time.monotonic()) + size / self.bytes_per_s
        while self.bytes_per_s and time.monotonic() < through:
            time.sleep(0.05)

    def _due(self, name: str) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.name in ("", name) and (rule.left is None or rule.left > 0):
                    rule.left = None if rule.left is None else rule.left - 1
                    rule.hits += 1
                    return rule.fault
        return None

    def _pipe(self, client: socket.socket) -> None:
        with socket.create_connection(self.upstream, timeout=PATIENCE_S) as behind:
            behind.settimeout(None)
            back = threading.Thread(target=_copy, args=(behind, client), daemon=True)
            back.start()
            _copy(client, behind)
            back.join(PATIENCE_S)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _read_call(reader: socket.SocketIO | object) -> Call | None:
    """The next request of a connection; None at its end."""
    line = reader.readline(65536)  # type: ignore[attr-defined]
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    message = http.client.parse_headers(reader)  # type: ignore[arg-type]
    headers = {name.lower(): value for name, value in message.items()}
    size = int(headers.get("content-length") or 0)
    body: bytes = reader.read(size) if size else b""  # type: ignore[attr-defined]
    return Call(method, path, headers, body, time.time())
