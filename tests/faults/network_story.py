"""What befalls the network of four sites, round by round, in one federation of real processes; the tests look at it after.

The first rounds lose nothing, so the model is that of an undisturbed run to the bit. Then all replies of one round
are lost, two sites stay cut off for two rounds more, and all come back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.kits.server_folder import read_server
from simulations.deployment.recipes import Proxy, proxy_configuration
from simulations.ports import free_ports
from simulations.processes import Supervised
from tests.faults.call_faults import (
    Reversed,
    answered,
    cut_on_the_way,
    cut_on_the_way_back,
    delayed,
    held,
    repeated,
    soon,
    unanswered,
    unhindered,
)
from tests.faults.fault_proxy import Call, Rule
from tests.faults.federation import PATIENCE, ROUND_S, Federation, own_addresses, type_in
from tests.faults.hostile import barrage, idle, replayed, stock_node

SITES = ("ash", "birch", "cedar", "dale")
SLOW, REVERSED, REPEATED, MOVED, RENEWED, BESET, LOSSY, PARTED, LAST_PARTED = range(2, 11)  # rounds
HARMLESS = BESET  # up to here nothing is lost
HARMLESS_TWICE = ("pull-messages", "pull-object", "confirm-message-received", "push-object")
DEADLINE_S = 45.0 * PATIENCE
LEAST_CLOSED_S = 10.0
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass
class Story:
    """What was seen.

    Attributes:
        f: the federation, ended.
        rows: record row by round.
        rules: faults by name; their ``hits`` say whether they befell anything.
        model: committed after the last harmless round.
        seen: anything else, by name.
    """

    f: Federation
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    model: bytes = b""
    seen: dict[str, Any] = field(default_factory=dict)

    def verdict(self, number: int, site: str) -> str:
        """What was said of a reply; empty if the site was not asked."""
        row = self.rows[number]["sites"].get(site)
        return "" if row is None else str(row["verdict"])

    def over(self, number: int) -> None:
        """Wait until a round is over."""
        self.rows[number] = self.f.await_round(number, ROUND_S + DEADLINE_S)


def tell(folder: Path) -> Story:
    """Play all of it; nothing of it runs when this returns."""
    f = Federation(folder, sites=SITES, rounds=60, overrides=[f"exchange.deadline_s={DEADLINE_S:g}"])
    story = Story(f)
    f.site("dale").resolve(None)
    with _nginx(f, folder / "nginx") as front, f:
        try:
            plain = _begin(story)
            _slow(story)
            _reversed(story)
            _spoil_replies(story)
            _moved(story)
            story.seen["plain"] = plain()
            _renewed(story, front)
            _beset(story, front)
            _lossy(story)
            _parted(story)
            _healed(story)
        finally:
            f.server.stop()
    return story


def _begin(story: Story) -> Callable[[], dict[str, Any]]:
    """N09: one site's name service fails at first. T01: a node without TLS knocks all the time."""
    f = story.f
    dale = f.site("dale")
    f.await_that(lambda: "its name is not known" in dale.log, what="dale to say what it waits for")
    dale.resolve(dale.proxy.address[0])
    plain = stock_node(f, f.site("ash").proxy.address)
    type_in("server", "renew", "--dir", str(f.project))  # nginx goes on with the old pair until it is told
    story.over(1)
    return plain


def _slow(story: Story) -> None:
    """N03: 300 ms there and back, and 10 % of what passes comes 300 ms later still, as what is lost and sent again."""
    for site in story.f.sites.values():
        site.proxy.latency_s, site.proxy.loss = 0.15, 0.1
    story.over(SLOW)
    for site in story.f.sites.values():
        site.proxy.heal()


def _reversed(story: Story) -> None:
    """N08: replies in the opposite order."""
    proxies = [site.proxy for site in story.f.sites.values()]
    order = Reversed(proxies)
    for proxy in proxies:
        proxy.fault("push-messages", order)
    assert soon(lambda: len(order.came) == len(SITES), ROUND_S)
    _spoil_questions(story)  # of the next round, which nobody can have been asked yet
    story.over(REVERSED)
    story.seen["came"], story.seen["let on"] = order.came, order.order


def _spoil_questions(story: Story) -> None:
    """N06: calls by which a question comes arrive twice. N02: they are cut. N11: somebody in between answers."""
    ash, birch, cedar, dale = (story.f.site(name).proxy for name in SITES)
    rules = story.rules
    for call in ("pull-messages", "pull-object", "confirm-message-received", "send-node-heartbeat"):
        rules[f"N06 {call}"] = ash.fault(call, repeated, None)
    for call in ("pull-object", "confirm-message-received", "send-node-heartbeat"):
        rules[f"N06 unanswered {call}"] = birch.fault(call, unanswered)
    rules["N02 pull"] = cedar.fault("pull-object", cut_on_the_way_back(20), 2)
    for status in (502, 503, 504):
        for call in ("pull-messages", "pull-object"):
            rules[f"N11 {status} {call}"] = dale.fault(call, answered(status))


def _spoil_replies(story: Story) -> None:
    """The same of the calls by which a reply goes."""
    ash, birch, cedar, dale = (story.f.site(name).proxy for name in SITES)
    rules = story.rules
    rules["N06 push-object"] = ash.fault("push-object", repeated, None)
    rules["N02 push"] = cedar.fault("push-object", cut_on_the_way(20), 3)
    rules["N02 message"] = cedar.fault("push-messages", cut_on_the_way(20), 1)
    for status in (502, 503, 504):
        for call in ("push-messages", "push-object"):
            rules[f"N11 {status} {call}"] = dale.fault(call, answered(status))
    story.over(REPEATED)
    for proxy in (ash, birch, cedar, dale):
        proxy.heal()


def _moved(story: Story) -> None:
    """N01: a closed port. N04: a slow line. N16, N10, N09: the server's name leads elsewhere, to ::1, nowhere."""
    f = story.f
    ash, birch, cedar, dale = (f.site(name) for name in SITES)
    dale.resolve(None)
    birch.proxy.bytes_per_s = 100_000
    ash.proxy.close()
    port = cedar.proxy.address[1]
    moved = ("127.0.1.14", port)
    birch.proxy.move(moved)
    birch.resolve(moved[0])
    if has_ipv6():
        cedar.proxy.move(("::1", port))
        cedar.resolve("::1")
    time.sleep(0.5)  # who had asked for dale's way before has taken it by now
    dale.proxy.cut()
    time.sleep(0.5)
    before = {site.name: len(site.proxy.calls) for site in (birch, cedar, dale)}
    time.sleep(5.0)  # six in all, as long as ash's port stays closed: Flower tries again after 1, 3 and 7 s
    story.seen["dale in the dark"] = len(dale.proxy.calls) - before["dale"]
    ash.proxy.open()
    dale.resolve(dale.proxy.address[0])
    story.over(MOVED)
    story.seen["moved"] = {site.name: len(site.proxy.calls) - before[site.name] for site in (birch, cedar, dale)}
    for site in f.sites.values():
        site.proxy.heal()


def _renewed(story: Story, front: tuple[str, int] | None) -> None:
    """T18: sites speak to nginx itself while its certificate is replaced and it is reloaded again and again."""
    f = story.f
    if front is None:
        story.over(RENEWED)
        return
    for site in f.sites.values():
        site.proxy.upstream, site.proxy.transparent = front, True
        site.proxy.cut()
    story.seen["serials"] = [_serial(f, front)]
    over = threading.Event()
    reloads = threading.Thread(target=_reload, args=(story, over), daemon=True)
    reloads.start()
    try:
        story.over(RENEWED)
    finally:
        over.set()
        reloads.join(60)
    story.seen["serials"].append(_serial(f, front))
    for site in f.sites.values():
        site.proxy.heal()
        site.proxy.upstream = ("localhost", f.superlink)
    _tell_nginx(f)  # it ends a connection when the call on it has been answered, which who only passes bytes on cannot


def _tell_nginx(f: Federation) -> None:
    """To read its configuration again."""
    os.kill(int((f.folder / "nginx" / "nginx.pid").read_text()), signal.SIGHUP)


def _reload(story: Story, over: threading.Event) -> None:
    story.seen["reloads"] = 0
    while True:  # a round may be over within three seconds
        _tell_nginx(story.f)
        story.seen["reloads"] += 1
        if over.wait(0.4):
            return


def _beset(story: Story, front: tuple[str, int] | None) -> None:
    """N14: garbage. N15: idle connections. T14: what was sent is sent again."""
    f = story.f
    behind = ("localhost", f.superlink)
    done = threading.Event()
    f.site("birch").proxy.fault("push-messages", delayed(done), None)  # the round lasts until all this is over
    calls: list[Call] = [call for call in f.site("ash").proxy.calls if time.time() - call.at < 240]
    f.await_asked(HARMLESS)
    with idle(f, [*([front] * 200 if front else []), *([behind] * 200)]) as held_open:
        story.seen["replayed"] = replayed(f, behind, calls)
        story.seen["garbage"] = barrage(f, behind, calls, 1000)
        done.set()
        story.over(HARMLESS)
        story.seen["idle"] = held_open()
    f.site("birch").proxy.heal()
    story.model = f.committed(HARMLESS)


def _lossy(story: Story) -> None:
    """Every reply is lost, each in its way, so the round is void.

    N06: ash announces its reply twice, which Flower takes for a loss unless the server has looked in between; so that it is
    one for certain, nothing of the reply arrives. N04: birch is far too slow. N11: 413 for what cedar's reply is made of.
    N05, N07: dale's calls arrive, much later, unanswered.
    """
    ash, birch, cedar, dale = (story.f.site(name).proxy for name in SITES)
    story.seen["release"] = release = threading.Event()
    story.rules["N06 announced twice"] = ash.fault("push-messages", repeated)
    ash.fault("push-object", answered(413), None)
    birch.bytes_per_s = 300
    # Slow, not dead: for a node without a heartbeat Flower would answer, now and then within the round (N05).
    story.rules["N04 alive"] = birch.fault("send-node-heartbeat", unhindered, None)
    story.rules["N11 413"] = cedar.fault("push-object", answered(413), None)
    # Only what belongs to a reply is held at first: the question must have reached the site.
    story.rules["N07 held"] = dale.fault("push-messages", held(release), None)
    soon(lambda: story.rules["N07 held"].hits > 0 or story.f.done >= LOSSY, ROUND_S)
    dale.fault("", held(release), None)
    story.over(LOSSY)
    story.seen["model after"] = story.f.committed(LOSSY)
    for proxy in (ash, birch, cedar):
        proxy.heal()


def _parted(story: Story) -> None:
    """N17: cedar's port is closed and dale is in a black hole for three rounds."""
    f = story.f
    f.site("cedar").proxy.close()
    story.seen["closed at"] = time.monotonic()
    story.over(PARTED)
    story.over(LAST_PARTED)
    for name in ("ash", "birch"):
        f.await_back(name, LOSSY)
    soon(lambda: time.monotonic() - story.seen["closed at"] > LEAST_CLOSED_S, ROUND_S)


def _healed(story: Story) -> None:
    """All come back; meanwhile a page of HTML answers ash in place of the server."""
    f = story.f
    story.seen["closed for"] = time.monotonic() - story.seen["closed at"]
    story.seen["healed after"] = f.done
    story.seen["release"].set()
    for name in ("cedar", "dale"):
        f.site(name).proxy.heal()
        f.site(name).proxy.cut()
    story.rules["N11 page"] = f.site("ash").proxy.fault("pull-messages", answered(200))
    f.await_that(lambda: story.rules["N11 page"].hits > 0, what="the page")
    since = f.done
    for name in ("cedar", "dale", "ash"):
        f.await_back(name, since, 2 * ROUND_S)
    story.rows |= {number: f.round(number) for number in range(LAST_PARTED + 1, f.done + 1)}


@contextlib.contextmanager
def _nginx(f: Federation, work: Path) -> Iterator[tuple[str, int] | None]:
    """The proxy of the recipe before the SuperLink, with a master, so that it can be reloaded; None: not installed."""
    if NGINX is None:
        yield None
        return
    work.mkdir()
    folder, file = read_server(f.project)
    port = free_ports()
    text = proxy_configuration(folder, file.names, Proxy(f"127.0.0.1:{port}", f.superlink, work, connections=64))
    (work / "nginx.conf").write_text(text)
    # Of root, workers would become somebody who may not look into a test's folder.
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = [NGINX, "-c", str(work / "nginx.conf"), "-p", str(work), "-g", options]
    one = Supervised("nginx", command, dict(os.environ), work / "nginx.log")
    one.start()
    try:
        assert soon((work / "nginx.pid").exists, 30), one.last_words()
        yield ("localhost", port)
    finally:
        one.stop()


def _serial(f: Federation, front: tuple[str, int]) -> str:
    """Of the certificate that is shown now."""
    context = ssl.create_default_context(cafile=str(f.project / "ca.crt"))
    with (
        socket.create_connection(front, timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        shown = tls.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


def has_ipv6() -> bool:
    """This machine has ::1."""
    return "::1" in own_addresses(0)
