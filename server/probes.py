"""Tiny messages that ask a silent site whether it lives; sent beside a round and never waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flwr.serverapp import Grid

from fedmce.flower_compat import Message, RecordDict
from server.exchange import Clock
from server.pulling import Pulls

PROBE, LIVES_S = "query.probe", 60.0


class Probes:
    """Probes on their way.

    Args:
        grid: Flower's grid.
        clock: for tests.
    """

    def __init__(self, grid: Grid, clock: Clock = time) -> None:
        self._grid, self._clock, self._pulls = grid, clock, Pulls(grid)
        self._sent: dict[str, tuple[str, Message, float]] = {}  # by message id: site, probe, when it is given up

    def send(self, nodes: Mapping[str, int]) -> None:
        """Ask these sites (name -> node id), but for those to which a probe is on its way.

        An answer takes some seconds, as long as a round may: who is asked anew each time is never heard.
        """
        now = self._clock.monotonic()
        for message_id in [message_id for message_id, (_, _, end) in self._sent.items() if now >= end]:
            del self._sent[message_id]
            self._pulls.forget(message_id)
        under_way = {site for site, _, _ in self._sent.values()}
        if not (asked := {site: node for site, node in nodes.items() if site not in under_way}):
            return
        messages = [Message(RecordDict(), node, PROBE, ttl=LIVES_S, group_id="probe") for node in asked.values()]
        pushed = zip(self._grid.push_messages(messages), asked, messages, strict=False)
        self._sent |= {message_id: (site, sent, now + LIVES_S) for message_id, site, sent in pushed if message_id}

    def answered(self) -> list[str]:
        """Sites whose answer has come; an error is one that Flower makes when nobody answers."""
        found = []
        for message_id, (site, message, _) in list(self._sent.items()):
            for reply in self._pulls.look(message, message_id)[:1]:
                del self._sent[message_id]
                if not reply.has_error():
                    found.append(site)
        return found
