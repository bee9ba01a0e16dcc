"""Send a list of messages and take in the replies one by one, no longer than a clock that cannot jump allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flwr.serverapp import Grid

from fedmce.flower_compat import Message, is_networked
from fedmce.parcel import packed
from server.pulling import Pulls

FIRST_WAIT_S, LONGEST_WAIT_S = 0.02, 0.5


class Clock(Protocol):
    """What waiting needs of time; the wall clock, which operators and NTP move, is no part of it."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


@dataclass(frozen=True)
class Wait:
    """How long to wait.

    Attributes:
        deadline_s: at most, from the moment of sending.
        goal: replies that count after which only ``grace_s`` more are waited for; None = all that were asked.
        grace_s: see above; never beyond the deadline.
        poll_s: longest pause between two looks.
    """

    deadline_s: float
    goal: int | None = None
    grace_s: float = 0.0
    poll_s: float = LONGEST_WAIT_S

    @property
    def first_s(self) -> float:
        """The first pause. Between machines a look is a call for every site that has not answered, while on this one the
        processes start that the answers come from."""
        return FIRST_WAIT_S if self.poll_s <= LONGEST_WAIT_S else self.poll_s / 8


@dataclass(frozen=True)
class Waited:
    """How waiting ended.

    Attributes:
        seconds: from the first message to the end.
        met: as many replies counted as were wanted, so that who is missing is not to blame.
        unanswered: ids of the messages without a reply.
        push_s: of these seconds, handing the messages to Flower.
        pull_s: of these, fetching and judging replies.
        answered: seconds until a reply had been judged, by the place of its message in the list.
    """

    seconds: float
    met: bool
    unanswered: tuple[str, ...]
    push_s: float = 0.0
    pull_s: float = 0.0
    answered: Mapping[int, float] = field(default_factory=dict)


def collect(
    grid: Grid, messages: Sequence[Message], wait: Wait, take: Callable[[Message], bool], clock: Clock = time
) -> Waited:
    """Push the messages and hand every reply to ``take`` as it arrives.

    Replies are pulled one message id at a time, so that only one is in memory before it was judged. What comes after
    the end is lost: the next round has other message ids.

    Args:
        grid: Flower's grid.
        messages: one per asked site.
        wait: deadline, goal, grace.
        take: judges a reply; True if it counts towards the goal.
        clock: for tests.
    """
    if not messages:
        return Waited(0.0, False, ())
    began = clock.monotonic()
    if is_networked(grid):
        messages = [packed(message) for message in messages]
    # Flower gives a message its id when it is pushed, and none to one that it could not take.
    pushed = zip(grid.push_messages(list(messages)), messages, strict=False)  # none are back if all are too large
    waiting = {name: (place, message) for place, (name, message) in enumerate(pushed) if name}
    first = wait.first_s
    push_s, pull_s, answered = clock.monotonic() - began, 0.0, dict[int, float]()
    counted, wanted, end, pause = 0, wait.goal or len(messages), began + wait.deadline_s, first
    pulls, met = Pulls(grid, wait.deadline_s), False
    while waiting:
        arrived, looked = 0, clock.monotonic()
        for message_id, (place, message) in list(waiting.items()):
            for reply in pulls.look(message, message_id, end - clock.monotonic()):
                waiting.pop(reply.metadata.reply_to_message_id, None)
                counted += take(reply)
                arrived += 1
                answered[place] = clock.monotonic() - began
        now = clock.monotonic()
        pull_s += now - looked
        if not met and counted >= wanted:
            met, end = True, min(end, now + wait.grace_s)
        if not waiting or now >= end:
            break
        pause = first if arrived else min(2 * pause, wait.poll_s)
        clock.sleep(min(pause, max(end - now, 0.0)))
    seconds = clock.monotonic() - began
    return Waited(seconds, met or counted >= wanted, tuple(waiting), push_s, pull_s, answered)


def exchange(grid: Grid, messages: Sequence[Message], wait: Wait, clock: Clock = time) -> list[Message]:
    """Replies that came in time, in the order of arrival."""
    replies: list[Message] = []

    def keep(reply: Message) -> bool:
        replies.append(reply)
        return True

    collect(grid, messages, wait, keep, clock)
    return replies
