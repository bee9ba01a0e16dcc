"""Pull replies from Flower so that one that is only half there cannot hold up the others, or the round.

Flower announces a reply when its sender begins to upload it, and then waits for its parts: three minutes for a sender
whose connection was cut, up to two hours for one that goes on slowly. The announcement is given once, so the wait
cannot be cut short and taken up again. It is left to a thread of its own, and the round to its clock.
"""

from __future__ import annotations

import threading

from flwr.serverapp import Grid

from fedmce.flower_compat import UNREADABLE, Message, RecordDict, is_networked, limit_pulls, pulled
from fedmce.parcel import unpacked

PATIENCE_S = 2.0  # for a reply that is all there; what takes longer is looked at again in the next turn


class Pulls:
    """The pulls of one wait; what has not ended by its end is never looked at.

    Args:
        grid: Flower's grid.
        longest_s: after which Flower itself gives up a reply; None: as it was.
    """

    def __init__(self, grid: Grid, longest_s: float | None = None) -> None:
        self._grid, self._is_networked = grid, is_networked(grid)
        self._running: dict[str, _Pull] = {}
        if self._is_networked and longest_s is not None:
            limit_pulls(longest_s)

    def look(self, message: Message, message_id: str, left_s: float = PATIENCE_S) -> list[Message]:
        """Replies to a message that are all there.

        Args:
            message: that was pushed.
            message_id: under which it was pushed.
            left_s: seconds that may pass.
        """
        if not self._is_networked:
            return pulled(self._grid, message, message_id)
        pull = self._running.get(message_id)
        if pull is None:
            pull = self._running[message_id] = _Pull(self._grid, message, message_id)
            pull.start()
            pull.join(min(PATIENCE_S, max(left_s, 0.0)))
        if pull.is_alive():
            return []
        del self._running[message_id]
        if pull.error is not None:
            raise pull.error
        return pull.found

    def forget(self, message_id: str) -> None:
        """Look at this one no more."""
        self._running.pop(message_id, None)


class _Pull(threading.Thread):
    """One pull."""

    def __init__(self, grid: Grid, message: Message, message_id: str) -> None:
        super().__init__(name=f"pull {message_id[:8]}", daemon=True)
        self._grid, self._message, self._message_id = grid, message, message_id
        self.found: list[Message] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            found = pulled(self._grid, self._message, self._message_id)
            self.found = [_unpacked(reply, self._message) for reply in found]
        except BaseException as error:  # whoever looks raises it
            self.error = error


def _unpacked(reply: Message, message: Message) -> Message:
    """The reply; one without records in place of what cannot be unpacked."""
    try:
        return unpacked(reply)
    except UNREADABLE:
        return Message(RecordDict(), reply_to=message)
