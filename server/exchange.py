"""Send a list of messages and wait for the answers, no longer than a deadline on a clock that cannot jump."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flwr.serverapp import Grid

from fedmce.flower_compat import Message

FIRST_WAIT_S, LONGEST_WAIT_S = 0.02, 0.5


def exchange(grid: Grid, messages: Sequence[Message], deadline_s: float) -> list[Message]:
    """Replies that came within ``deadline_s`` seconds, in the order of arrival; late ones are lost."""
    waiting = set(grid.push_messages(list(messages)))
    replies: list[Message] = []
    end, pause = time.monotonic() + deadline_s, FIRST_WAIT_S
    while waiting:
        arrived = list(grid.pull_messages(list(waiting)))
        replies += arrived
        waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        if not waiting or time.monotonic() >= end:
            break
        if arrived:
            pause = FIRST_WAIT_S
        else:
            time.sleep(min(pause, max(end - time.monotonic(), 0)))
            pause = min(2 * pause, LONGEST_WAIT_S)
    return replies


def wait_for_nodes(grid: Grid, count: int, deadline_s: float) -> list[int]:
    """Ids of the connected nodes as soon as there are ``count``; whoever is there at the deadline."""
    end = time.monotonic() + deadline_s
    while len(nodes := sorted(grid.get_node_ids())) < count and time.monotonic() < end:
        time.sleep(LONGEST_WAIT_S)
    return nodes
