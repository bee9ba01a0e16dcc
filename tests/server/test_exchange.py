"""Waiting for replies: all that come in time, nothing for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from server.exchange import Wait, collect, exchange


def reply(to: str) -> Any:
    return SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=to))


@dataclass
class FakeClock:
    """Time passes by sleeping alone."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)


@dataclass
class SlowGrid:
    """Replies come at set times."""

    clock: FakeClock
    at: dict[str, float]  # seconds after the start; nothing = never
    pulled: list[str] = field(default_factory=list)

    def push_messages(self, messages: Any) -> list[str]:
        assert isinstance(messages, list)
        self.began = self.clock.now
        return [message.name for message in messages]

    def pull_messages(self, ids: Any) -> list[Any]:
        (name,) = ids  # one at a time: only one reply is in memory before it was judged
        self.pulled.append(name)
        return [reply(name)] if self.clock.now - self.began >= self.at.get(name, 1e9) else []


MESSAGES: Any = tuple(SimpleNamespace(name=name) for name in "abc")


def names(replies: list[Any]) -> list[str]:
    return [r.metadata.reply_to_message_id for r in replies]


def came(at: dict[str, float], wait: Wait) -> tuple[list[str], float, bool, tuple[str, ...]]:
    """Who came, how long it took, whether the goal was met, who did not come."""
    clock = FakeClock()
    grid: Any = SlowGrid(clock, at)
    found: list[Any] = []

    def take(one: Any) -> bool:
        found.append(one)
        return True

    waited = collect(grid, MESSAGES, wait, take, clock)
    return names(found), waited.seconds, waited.met, waited.unanswered


def test_replies_are_gathered_until_all_are_there() -> None:
    found, seconds, met, missing = came({"c": 0.0, "a": 5.0, "b": 7.0}, Wait(30))
    assert found == ["c", "a", "b"]
    assert (met, missing) == (True, ())
    assert 7 <= seconds <= 7.5


def test_U44_late_replies_are_lost_and_the_wait_ends_at_the_deadline() -> None:
    found, seconds, met, missing = came({"b": 1.0, "a": 30.5}, Wait(30))
    assert (found, met, missing) == (["b"], False, ("a", "c"))
    assert seconds == pytest.approx(30)


def test_U39_what_comes_within_the_grace_counts_and_what_comes_after_does_not() -> None:
    assert came({"a": 1, "b": 2, "c": 2.4}, Wait(30, goal=2, grace_s=1))[0] == ["a", "b", "c"]
    found, seconds, met, missing = came({"a": 1, "b": 2, "c": 9}, Wait(30, goal=2, grace_s=1))
    assert (found, met, missing) == (["a", "b"], True, ("c",))
    assert seconds == pytest.approx(3, abs=0.6)


def test_U40_the_grace_never_goes_beyond_the_deadline() -> None:
    assert came({"a": 1, "b": 9.8, "c": 10.5}, Wait(10, goal=2, grace_s=5))[:2] == (["a", "b"], pytest.approx(10))


@pytest.mark.parametrize("poll_s", [0.5, 2.0])
def test_G9_a_deadline_is_never_overrun_by_more_than_a_poll(poll_s: float) -> None:
    for deadline in (0.3, 1.0, 7.7, 61.0):
        assert came({}, Wait(deadline, poll_s=poll_s))[1] <= deadline + 1e-3


def test_what_is_there_at_once_counts_even_without_a_wait() -> None:
    assert came({"a": 0, "b": 0, "c": 0}, Wait(0.0))[0] == ["a", "b", "c"]


def test_a_refused_reply_does_not_count_towards_the_goal() -> None:
    clock = FakeClock()
    grid: Any = SlowGrid(clock, {"a": 0, "b": 1, "c": 2})
    judged: list[str] = []

    def take(one: Any) -> bool:
        judged.append(one.metadata.reply_to_message_id)
        return judged[-1] != "a"

    assert collect(grid, MESSAGES, Wait(30, goal=2), take, clock).seconds >= 2
    assert judged == ["a", "b", "c"]


def test_F11_a_clock_that_jumps_does_not_end_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e12)
    clock = FakeClock()
    grid: Any = SlowGrid(clock, {"a": 1, "b": 1, "c": 1})
    assert len(exchange(grid, MESSAGES, Wait(30), clock)) == 3


def test_messages_that_flower_could_not_push_are_not_waited_for_with_others_ids() -> None:
    clock = FakeClock()
    grid: Any = SlowGrid(clock, {"a": 1, "c": 1})
    grid.push_messages = lambda messages: (setattr(grid, "began", clock.now), ["a", None, "c"])[1]
    assert names(exchange(grid, MESSAGES, Wait(30), clock)) == ["a", "c"]
