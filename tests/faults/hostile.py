"""What strangers do at the port of a federation: garbage, idle connections, old requests again, no TLS."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from simulations.deployment.recipes import FLEET_CALLS
from simulations.flower_cli import home_environment
from simulations.ports import free_ports
from simulations.processes import MARK, Supervised, program
from tests.faults.fault_proxy import HOP, Call
from tests.faults.federation import Federation

WAIT_S = 120.0
TAKES_AWAY = ("pull-messages", "deactivate-node", "unregister-node")  # would rob the site of what is its


def barrage(f: Federation, target: tuple[str, int], calls: Sequence[Call], count: int) -> Counter[int]:
    """Random bodies to every call of the fleet, half of them under a signature that was overheard; answers by status.

    Args:
        f: the federation.
        target: who gets them.
        calls: overheard ones.
        count: how many.
    """
    found, lock, draw = Counter[int](), threading.Lock(), random.Random(14)
    signed = [{k: v for k, v in call.headers.items() if k not in HOP} for call in calls if len(call.headers) > 6]
    jobs = []
    for number in range(count):
        body = draw.randbytes(draw.choice((0, 1, 7, 60, 500, 9000)))
        headers = signed[-1 - number % min(len(signed), 20)] if signed and number % 2 else {}
        kind = {"content-type": "application/protobuf"} | headers
        jobs.append((f"/v1/fleet/{FLEET_CALLS[number % len(FLEET_CALLS)]}", body, kind))

    def work(own: Sequence[tuple[str, bytes, dict[str, str]]]) -> None:
        connection = _connection(f, target)
        for path, body, headers in own:
            status = _ask(connection, path, body, headers)
            with lock:
                found[status] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(jobs[k::4],), daemon=True) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S * 2)
    return found


def replayed(f: Federation, target: tuple[str, int], calls: Sequence[Call]) -> dict[str, Counter[int]]:
    """Send overheard calls again, as they were, but those that would take something away; statuses by call."""
    found: dict[str, Counter[int]] = {}
    connection = _connection(f, target)
    for call in calls:
        if call.name in FLEET_CALLS and call.name not in TAKES_AWAY:
            headers = {k: v for k, v in call.headers.items() if k not in HOP}
            found.setdefault(call.name, Counter())[_ask(connection, call.path, call.body, headers)] += 1
    connection.close()
    return found


@contextlib.contextmanager
def idle(f: Federation, targets: Sequence[tuple[str, int]]) -> Iterator[Callable[[], int]]:
    """Connections that are made and then say nothing; gives a function that counts those not closed by the server."""
    context = _context(f)
    with contextlib.ExitStack() as stack:
        held = []
        for target in targets:
            plain = stack.enter_context(socket.create_connection(target, timeout=WAIT_S))
            held.append(stack.enter_context(context.wrap_socket(plain, server_hostname="localhost")))
        yield lambda: sum(map(_is_open, held))


def stock_node(f: Federation, target: tuple[str, int]) -> Callable[[], dict[str, Any]]:
    """Flower's own node without TLS at a site's way to the server; the function ends it and tells what it said."""
    home: Path = f.folder / "plain"
    home.mkdir(mode=0o700)
    environment = home_environment(home, f"{target[0]}:{target[1]}") | {MARK: str(f.folder.resolve())}
    command = [program("flower-supernode"), "--insecure", "--superlink", f"{target[0]}:{target[1]}"]
    command += ["--host", "127.0.0.1", "--port", str(free_ports(2))]
    node = Supervised("plain", command, environment, f.folder / "log" / "plain.log")
    node.start()

    def end() -> dict[str, Any]:
        alive = node.is_alive
        node.stop()
        return {"alive": alive, "log": node.log.read_text(encoding="utf-8", errors="replace")}

    return end


def _is_open(tls: ssl.SSLSocket) -> bool:
    tls.settimeout(0.0)
    try:
        return tls.recv(1) != b""
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False


def _context(f: Federation) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(f.project / "ca.crt"))


def _connection(f: Federation, target: tuple[str, int]) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(*target, timeout=WAIT_S, context=_context(f))


def _ask(connection: http.client.HTTPSConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    """The status; 0 if the server ended the connection instead."""
    try:
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status
