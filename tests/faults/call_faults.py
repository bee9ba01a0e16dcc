"""What can befall a single call on its way: ready faults for :class:`tests.faults.fault_proxy.FaultProxy`."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

from tests.faults.fault_proxy import PATIENCE_S, Answer, Cut, Exchange, Fault, FaultProxy

PAGE = b"<html><head><title>Sign in</title></head><body>Accept the terms of this network.</body></html>"


def answered(status: int, body: bytes = PAGE, kind: str = "text/html") -> Fault:
    """Somebody in between answers; the server never hears of the call."""

    def fault(exchange: Exchange) -> None:
        exchange.reply(Answer(status, body, {"content-type": kind}))

    return fault


def cut_on_the_way(size: int) -> Fault:
    """The server gets the head and so many bytes of the body, the site nothing at all."""

    def fault(exchange: Exchange) -> None:
        call, behind = exchange.call, exchange.behind
        behind.putrequest(call.method, call.path, skip_host=True, skip_accept_encoding=True)
        for name, value in call.headers.items():
            behind.putheader(name, value)
        behind.endheaders()
        behind.send(call.body[:size])
        raise Cut

    return fault


def cut_on_the_way_back(size: int) -> Fault:
    """The server has answered; the site gets the head and so many bytes."""
    return lambda exchange: exchange.reply(exchange.forward(), upto=size)


def unanswered(exchange: Exchange) -> None:
    """The server has done what was asked; the site does not learn it, and asks again."""
    exchange.forward()
    raise Cut


def repeated(exchange: Exchange) -> None:
    """The server gets the call twice; the site hears the first answer, or the second if there is more in it.

    A question may come up between the two: the server hands it out once, and nobody would hear of it again.
    """
    exchange.reply(max(exchange.forward(), exchange.forward(), key=lambda answer: len(answer.body)))


def unhindered(exchange: Exchange) -> None:
    """The call overtakes what its line is busy with."""
    exchange.reply(exchange.forward())


def held(until: threading.Event) -> Fault:
    """The call waits here; whether or not the site still listens, it then goes on to the server."""

    def fault(exchange: Exchange) -> None:
        until.wait(PATIENCE_S)
        exchange.reply(exchange.forward())

    return fault


def delayed(until: threading.Event) -> Fault:
    """The call waits here; one that its site has given up by then, to make it again, goes no further."""

    def fault(exchange: Exchange) -> None:
        until.wait(PATIENCE_S)
        if select.select([exchange.client], [], [], 0.0)[0]:  # all that it could say now is good-bye
            raise Cut
        exchange.reply(exchange.forward())

    return fault


class Reversed:
    """Lets the calls of several sites on in the opposite order of their arrival, each when the one before is through.

    Args:
        proxies: of the sites; each must make the call once.
    """

    def __init__(self, proxies: list[FaultProxy]) -> None:
        self._all, self._came = proxies, list[FaultProxy]()
        self._turn = threading.Condition()
        self.order: list[FaultProxy] = []

    @property
    def came(self) -> list[FaultProxy]:
        """In the order of arrival."""
        return self._came

    def __call__(self, exchange: Exchange) -> None:
        own = exchange.proxy
        with self._turn:
            self._came.append(own)
            self._turn.notify_all()
            self._turn.wait_for(lambda: len(self._came) == len(self._all), PATIENCE_S)
            mine = self._came.index(own)
            self._turn.wait_for(lambda: len(self.order) == len(self._came) - 1 - mine, PATIENCE_S)
        before = own.count("pull-messages")
        exchange.reply(exchange.forward())
        # A site that asks for the next message has sent all that belongs to the last.
        threading.Thread(target=self._pass_on, args=(own, before), daemon=True).start()

    def _pass_on(self, own: FaultProxy, before: int) -> None:
        soon(lambda: own.count("pull-messages") > before, PATIENCE_S)
        with self._turn:
            self.order.append(own)
            self._turn.notify_all()


def soon(law: Callable[[], bool], within_s: float) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + within_s
    while not law():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
