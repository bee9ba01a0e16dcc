"""Waiting for replies: all that come in time, nothing for ever."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

import server.exchange
from server.exchange import exchange, wait_for_nodes


def reply(to: str) -> Any:
    return SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=to))


class SlowGrid:
    """Every pull brings the next batch of replies."""

    def __init__(self, batches: list[list[str]]) -> None:
        self.batches, self.asked = batches, list[list[str]]()

    def push_messages(self, messages: Any) -> list[str]:
        assert isinstance(messages, list)
        return [message.name for message in messages]

    def pull_messages(self, ids: Any) -> list[Any]:
        self.asked.append(sorted(ids))
        return [reply(name) for name in (self.batches.pop(0) if self.batches else [])]

    def get_node_ids(self) -> list[int]:
        return [3, 1]


MESSAGES: Any = tuple(SimpleNamespace(name=name) for name in "abc")


def names(replies: list[Any]) -> list[str]:
    return [r.metadata.reply_to_message_id for r in replies]


def test_replies_are_gathered_until_all_are_there() -> None:
    grid: Any = SlowGrid([["c"], [], ["a", "b"], ["never asked for"]])
    assert names(exchange(grid, MESSAGES, 30)) == ["c", "a", "b"]
    assert grid.asked == [["a", "b", "c"], ["a", "b"], ["a", "b"]]


def test_late_replies_are_lost_and_the_wait_ends_at_the_deadline() -> None:
    began = time.monotonic()
    assert names(exchange(SlowGrid([["b"]]), MESSAGES, 0.15)) == ["b"]  # type: ignore[arg-type]
    assert 0.14 <= time.monotonic() - began < 2


def test_what_is_there_at_once_counts_even_without_a_wait() -> None:
    assert names(exchange(SlowGrid([["a", "b", "c"]]), MESSAGES, 0.0)) == ["a", "b", "c"]  # type: ignore[arg-type]


def test_a_clock_that_jumps_does_not_end_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert names(exchange(SlowGrid([[], ["a"], ["b", "c"]]), MESSAGES, 30)) == ["a", "b", "c"]  # type: ignore[arg-type]


def test_nodes_are_sorted_and_whoever_is_there_at_the_deadline_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.exchange, "LONGEST_WAIT_S", 0.01)
    assert wait_for_nodes(SlowGrid([]), 2, 5) == [1, 3]  # type: ignore[arg-type]
    assert wait_for_nodes(SlowGrid([]), 3, 0.05) == [1, 3]  # type: ignore[arg-type]
