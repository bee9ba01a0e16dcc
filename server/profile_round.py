"""Round 0 and every later introduction: ask nodes who they are and what they hold.

A node's name is the one that it was registered under (Flower knows it by the node's key); what the node says of
itself must agree. Unregistered nodes, as in a simulation, are taken at their word.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from flwr.serverapp import Grid

from fedmce.config.schema import RunConfig
from fedmce.errors import NetworkError, RunError, WireError
from fedmce.flower_compat import ConfigRecord, Message, Node, RecordDict, arrays_of, connected, payload_bytes
from fedmce.folders.digests import twin_finding
from fedmce.models import NetworkSpec
from fedmce.site_errors import WHERE_TRACES_ARE, said_of_number
from fedmce.wire import ORDER, REPORT, STAMP, STATISTICS, Order, budget
from server.exchange import LONGEST_WAIT_S, Clock, Wait, exchange
from server.gate.verdicts import shown
from server.roster import Roster, SiteProfile, make_roster, read_profile

AGAIN_S, DOUBLINGS = 15.0, 6  # pause before a node that failed is asked again who it is; doubled so often, to 16 min


class _FailedError(WireError):
    """No introduction came: the node is slow, the way to it failed, or its site did and may be mended; it is asked again."""


@dataclass(frozen=True)
class _Failing:
    """A node that has not introduced itself yet: how often it was asked, when it is asked again, what came last."""

    times: int
    again: float
    why: str


@dataclass(frozen=True)
class Introductions:
    """Who came forward.

    Attributes:
        profiles: by site name.
        refused: why nodes were turned away, by node.
        bytes_down: per site, of the profile message.
        bytes_up: per site, of the reply.
        keys: fingerprint of the key that each site's node was registered with; none where nodes have no keys.
    """

    profiles: dict[str, SiteProfile] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    bytes_down: dict[str, int] = field(default_factory=dict)
    bytes_up: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def joined_by(self, later: Introductions) -> Introductions:
        """Both; a site of both has come back, with what it says now."""
        return Introductions(
            self.profiles | later.profiles,
            self.refused | later.refused,
            self.bytes_down | later.bytes_down,
            self.bytes_up | later.bytes_up,
            self.keys | later.keys,
        )


class Register:
    """Introduces nodes to the federation, at the start and whenever new ones connect.

    Args:
        grid: Flower's grid.
        config: sent to every node.
        spec: the network that the roster grants parts of.
        expected: names of the sites that may take part; empty = whoever comes.
        clock: for tests.
    """

    def __init__(
        self, grid: Grid, config: RunConfig, spec: NetworkSpec, expected: Collection[str] = (), clock: Clock = time
    ) -> None:
        self._grid, self._config, self._spec = grid, config, spec
        self.clock, self.expected = clock, frozenset(expected)
        self.known = Introductions()
        self._failing = dict[int, _Failing]()

    def await_nodes(self, count: int, deadline_s: float) -> dict[int, Node]:
        """Connected nodes as soon as there are ``count``; whoever is there at the deadline."""
        end = self.clock.monotonic() + deadline_s
        while len(nodes := connected(self._grid)) < count and self.clock.monotonic() < end:
            self.clock.sleep(LONGEST_WAIT_S)
        return nodes

    def newcomers(self) -> dict[int, Node]:
        """Connected nodes that were neither taken in nor turned away; those that failed after a while again."""
        now = self.clock.monotonic()
        seen = {profile.node_id for profile in self.known.profiles.values()} | set(self.known.refused)
        seen |= {node_id for node_id, one in self._failing.items() if now < one.again}
        return {node_id: node for node_id, node in connected(self._grid).items() if node_id not in seen}

    def failing(self) -> list[str]:
        """Connected nodes that were asked and did not introduce themselves: how often, and why not."""
        return [
            f"{node.name or node_id} (asked {one.times} times; {one.why})"
            for node_id, node in connected(self._grid).items()
            if (one := self._failing.get(node_id)) is not None
        ]

    def introduce(self, nodes: Mapping[int, Node], deadline_s: float) -> Introductions:
        """Profile these nodes and keep what they say; what is new."""
        order = Order(round=0, train=False, site="", config=self._config.to_json(), budget_s=budget(deadline_s))
        content = RecordDict({ORDER: ConfigRecord(order.to_record())})
        messages = [
            Message(content, node_id, "query.profile", ttl=max(deadline_s, 1.0), group_id="0")
            for node_id in sorted(nodes)
        ]
        wait = Wait(deadline_s, poll_s=self._config.exchange.poll_s)
        replies = exchange(self._grid, messages, wait, self.clock)
        by_message = {reply.metadata.reply_to_message_id: reply for reply in replies}
        found = Introductions()
        for message in messages:
            node_id, reply = message.metadata.dst_node_id, by_message.get(message.metadata.message_id)
            try:
                profile = _read(node_id, reply, self._spec, self._config)
                self._check_identity(profile.site, nodes[node_id], found)
                self._check_twin(profile, found)
            except WireError as error:
                found.refused[node_id] = str(error)
                times = self._failing.pop(node_id, _Failing(0, 0.0, "")).times
                if isinstance(error, _FailedError):
                    # Twice as late each time: whoever never answers must not hold up every round.
                    again = self.clock.monotonic() + AGAIN_S * 2 ** min(times, DOUBLINGS)
                    self._failing[node_id] = _Failing(times + 1, again, str(error))
                continue
            self._failing.pop(node_id, None)
            found.profiles[profile.site] = profile
            found.bytes_down[profile.site] = payload_bytes(content)
            found.bytes_up[profile.site] = payload_bytes(reply.content) if reply is not None else 0
            if nodes[node_id].key:
                found.keys[profile.site] = nodes[node_id].key
        lasting = {node_id: why for node_id, why in found.refused.items() if node_id not in self._failing}
        self.known = self.known.joined_by(replace(found, refused=lasting))
        return found

    def readmit(self, site: str) -> None:
        """Take the site with the key that its node has now, whatever key it had; ask whoever is not in at once."""
        keys = {name: key for name, key in self.known.keys.items() if name != site}
        self.known = replace(self.known, refused={}, keys=keys)
        self._failing.clear()

    def _check_identity(self, site: str, node: Node, found: Introductions) -> None:
        if node.name and node.name != site:
            raise WireError(f"identity: the node registered as {node.name!r} says that it is site {site!r}")
        if self.expected and site not in self.expected:
            raise WireError(f"identity: site {site!r} is not one of {', '.join(sorted(self.expected))}")
        if site in found.profiles:
            raise WireError(f"two nodes say that they are site {site!r}")
        before = self.known.profiles.get(site)
        if before is None:
            return
        if before.node_id in connected(self._grid):
            raise WireError(f"identity: a second node says that it is site {site!r}, whose node is connected")
        if node.key != self.known.keys.get(site, node.key):
            raise WireError(
                f"identity: site {site!r} came back with another key; if that is meant: fedmce server readmit {site}"
            )

    def _check_twin(self, profile: SiteProfile, found: Introductions) -> None:
        others = self.known.joined_by(found).profiles
        same = [name for name, other in sorted(others.items()) if profile.data and other.data == profile.data]
        if twin := [name for name in same if name != profile.site]:
            said = twin_finding(profile.site, twin).text().splitlines()
            raise WireError("; ".join(line.strip() for line in said))


@dataclass(frozen=True)
class ProfileRound:
    """The roster, and the bytes that the profile messages took per site."""

    roster: Roster
    bytes_down: dict[str, int]
    bytes_up: dict[str, int]
    refused: dict[int, str] = field(default_factory=dict)


def profile_round(register: Register, config: RunConfig, spec: NetworkSpec, sites: int, strict: bool) -> ProfileRound:
    """Profile all nodes before the first round.

    Args:
        register: takes nodes in.
        config: how long to wait, and for how many at least.
        spec: the network.
        sites: how many nodes are expected.
        strict: a simulation, where every node must be there and sound; between real sites whoever is there in time
            begins, if a round could be made of them, and the others may join later.

    Raises:
        RunError: of a simulation: a node is missing, fails, or two claim one name; all problems in one message.
        NetworkError: too few sites came; the message says who is missing.
    """
    (_all_at_once if strict else _as_they_come)(register, config, sites)
    found = register.known
    roster = make_roster(found.profiles, spec, config)
    if not roster.profiles:
        raise RunError("profile round: no site has training rows")
    return ProfileRound(roster, found.bytes_down, found.bytes_up, found.refused)


def _all_at_once(register: Register, config: RunConfig, sites: int) -> None:
    nodes = register.await_nodes(sites, config.exchange.wait_sites_s)
    if len(nodes) != sites:
        raise RunError(
            f"{len(nodes)} nodes are connected for {sites} sites; start one node per site "
            f'(flwr run: --federation-config "num-supernodes={sites} client-resources-num-cpus=1")'
        )
    found = register.introduce(nodes, config.exchange.deadline_s)
    if found.refused:
        problems = Counter(found.refused.values())
        said = [text if count == 1 else f"{count} x {text}" for text, count in sorted(problems.items())]
        raise RunError("profile round: " + "; ".join(said))


def _as_they_come(register: Register, config: RunConfig, sites: int) -> None:
    exchange_config = config.exchange
    end = register.clock.monotonic() + exchange_config.wait_sites_s
    while (left := end - register.clock.monotonic()) > 0:
        if nodes := register.newcomers():
            register.introduce(nodes, min(exchange_config.deadline_s, left))
        if len(register.known.profiles) >= sites:
            return
        register.clock.sleep(min(exchange_config.poll_s, max(end - register.clock.monotonic(), 0.0)))
    there, needed = register.known.profiles, exchange_config.fewest(sites)
    if len(there) < needed:
        missing = sorted(set(register.expected) - set(there)) or ["unnamed"]
        why_not = "".join(f"; turned away: {why}" for why in sorted(register.known.refused.values()))
        if failing := register.failing():
            why_not += f"; connected, but did not introduce themselves: {', '.join(sorted(failing))}"
        raise NetworkError(
            f"{len(there)} of {sites} sites came within exchange.wait_sites_s={exchange_config.wait_sites_s:g} s; needed "
            f"{needed}. missing: {', '.join(missing)}{why_not}. start their nodes (fedmce client join) and run again"
        )


def _read(node: int, reply: Message | None, spec: NetworkSpec, config: RunConfig) -> SiteProfile:
    if reply is None:
        raise _FailedError("a node did not answer in time")
    if reply.has_error():
        # Never the text of the reply, which is the site's; Flower's own codes have none that would help.
        said = said_of_number(reply.error.code)
        raise _FailedError(
            f"a node failed: {f'{said} ({WHERE_TRACES_ARE})' if said else f'code {shown(reply.error.code)}'}"
        )
    sums, reports, stamps = reply.content.array_records, reply.content.metric_records, reply.content.config_records
    if STATISTICS not in sums or REPORT not in reports or STAMP not in stamps:
        raise WireError(f"a node sent {sorted(reply.content)}; needed {[STATISTICS, REPORT, STAMP]}")
    try:
        numbers, arrays = reports[REPORT], arrays_of(sums[STATISTICS])
        return read_profile(node, stamps[STAMP], numbers, arrays, spec, config.contributions, config.privacy)
    except WireError:
        raise
    except Exception as error:  # bytes that are no arrays, numbers that are none
        raise WireError(f"a node's profile cannot be read: {type(error).__name__}: {error}") from error
