"""A federation whose sites follow a script and whose time passes only while somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context, Error
from flwr.proto.node_pb2 import NodeInfo

from client.app import app as client_app
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.flower_compat import Message, identity
from fedmce.networks import spec_for
from fedmce.record import RecordWriter, read_record
from server.profile_round import Register, profile_round
from server.rounds import Progress, RoundLoop
from server.state import first_state
from server.strategy import ComponentStrategy
from simulations.engines.inprocess import InProcessGrid


@dataclass
class Clock:
    """Time passes by sleeping alone."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)


@dataclass(frozen=True)
class Act:
    """What a site does with one message.

    Attributes:
        after_s: seconds until its reply is there; None = never.
        error: Flower's code of an error in place of a reply.
        change: makes another reply of the honest one.
    """

    after_s: float | None = 0.0
    error: int | None = None
    change: Callable[[Message], Message] | None = None


Script = Callable[[str, int, str], Act]  # site, round, type of message


def honest(site: str, number: int, kind: str) -> Act:
    return Act()


@dataclass
class Site:
    """A node of the script."""

    name: str
    key: bytes = b""
    online: bool = True
    registered: bool = True


class ScriptedGrid(InProcessGrid):
    """The in-process grid with a clock, names, keys and a script."""

    def __init__(self, sites: list[str], run: Any, clock: Clock, script: Script) -> None:
        super().__init__(client_app, len(sites), run)
        self.clock, self.script = clock, script
        self.sites = {node: Site(name, name.encode()) for node, name in enumerate(sites, start=1)}
        self.asked: list[tuple[int, str, str]] = []  # round, site, type
        self._due: dict[str, float] = {}
        self.hooks: dict[int, Callable[[ScriptedGrid], None]] = {}  # by round, before its messages go out

    def site(self, name: str) -> Site:
        return next(site for site in self.sites.values() if site.name == name)

    def get_node_ids(self) -> Iterable[int]:
        return [node for node, site in self.sites.items() if site.online]

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [
            NodeInfo(node_id=node, name=site.name if site.registered else "", public_key=site.key)
            for node, site in self.sites.items()
            if site.online
        ]

    def _answer(self, message: Message) -> str:
        number = int(message.metadata.group_id) if message.metadata.group_id.isdigit() else -1
        if hook := self.hooks.pop(number, None):
            hook(self)
        site, kind = self.sites[message.metadata.dst_node_id], message.metadata.message_type
        self.asked.append((number, site.name, kind))
        act = self.script(site.name, number, kind)
        message_id = super()._answer(message) if act.after_s is not None else f"m{next(self._numbers)}"
        message.metadata.__dict__["_message_id"] = message_id
        if act.after_s is None or not site.online:
            self._replies.pop(message_id, None)
            return message_id
        reply = self._replies[message_id]
        if act.error is not None:
            self._replies[message_id] = Message(Error(code=act.error, reason="made"), reply_to=message)
        elif act.change is not None:
            self._replies[message_id] = act.change(reply)
        self._due[message_id] = self.clock.now + act.after_s
        return message_id

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        due = [m for m in message_ids if self._due.get(m, float("inf")) <= self.clock.now]
        return super().pull_messages(due)


@dataclass
class Played:
    """What a script led to."""

    grid: ScriptedGrid
    strategy: ComponentStrategy
    loop: RoundLoop
    rows: list[dict[str, Any]]
    clock: Clock
    began: float
    error: BaseException | None = None
    roster_at_start: tuple[str, ...] = field(default_factory=tuple)

    @property
    def rounds(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["event"] == "round"]

    def asked(self, site: str) -> list[int]:
        """Rounds in which the site was asked to train."""
        return [number for number, name, kind in self.grid.asked if name == site and kind == "train"]


def play(
    config: RunConfig,
    dataset: FederatedDataset,
    folder: Path,
    script: Script = honest,
    *,
    prepare: Callable[[ScriptedGrid], None] | None = None,
    progress: Progress | None = None,
) -> Played:
    """Run a federation under a script, as the server of a deployment does it, without scoring test rows there."""
    clock = Clock()
    spec, names = spec_for(dataset, config), list(dataset.sites)
    with identity(1) as run:
        grid = ScriptedGrid(names, run, clock, script)
        if prepare is not None:
            prepare(grid)
        register = Register(grid, config, spec, names, clock)
        roster = profile_round(register, config, spec, len(names), strict=False).roster
        strategy = ComponentStrategy(config, spec, roster, roster.statistics(spec), first_state(config, spec))
        loop = RoundLoop(grid, strategy, RecordWriter(folder), nothing_held_here, "accuracy", register, progress, clock)
        played = Played(grid, strategy, loop, [], clock, clock.now, roster_at_start=tuple(roster.profiles))
        try:
            loop.run()
        except Exception as error:  # the test says which
            played.error = error
        played.rows = read_record(folder)
    return played


def nothing_held_here(state: Any, last: bool = False) -> dict[str, Any]:
    """Scores of no rows: these tests look at the loop."""
    return {"seconds": 0.0}


def handler_context(grid: ScriptedGrid, name: str) -> Context:
    """Flower's context of a site's node."""
    node = next(node for node, site in grid.sites.items() if site.name == name)
    return grid._contexts[node]
