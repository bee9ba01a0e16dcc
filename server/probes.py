"""Tiny messages that ask a silent site whether it lives; sent beside a round and never waited for."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.serverapp import Grid

from fedmce.flower_compat import Message, RecordDict
from server.pulling import Pulls

PROBE, LIVES_S = "query.probe", 60.0


class Probes:
    """Probes on their way.

    Args:
        grid: Flower's grid.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid, self._sent = grid, dict[str, tuple[str, Message]]()
        self._pulls = Pulls(grid)

    def send(self, nodes: Mapping[str, int]) -> None:
        """Ask these sites (name -> node id); what was on its way to them before is forgotten."""
        if not nodes:
            return
        messages = [Message(RecordDict(), node, PROBE, ttl=LIVES_S, group_id="probe") for node in nodes.values()]
        for message_id in [message_id for message_id, (site, _) in self._sent.items() if site in nodes]:
            del self._sent[message_id]
            self._pulls.forget(message_id)
        pushed = zip(self._grid.push_messages(messages), nodes, messages, strict=False)
        self._sent |= {message_id: (site, message) for message_id, site, message in pushed if message_id}

    def answered(self) -> list[str]:
        """Sites whose answer has come; an error is one that Flower makes when nobody answers."""
        found = []
        for message_id, (site, message) in list(self._sent.items()):
            for reply in self._pulls.look(message, message_id)[:1]:
                del self._sent[message_id]
                if not reply.has_error():
                    found.append(site)
        return found
