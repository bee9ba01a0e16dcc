"""A reply that is only half there holds up neither the others nor the round."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flwr.app import ConfigRecord, RecordDict
from flwr.supercore.inflatable.inflatable_utils import pull_objects

import server.exchange
import server.pulling
from fedmce.flower_compat import Message, identity, limit_pulls
from fedmce.parcel import PARCEL, is_parcel, packed
from server.exchange import Wait, collect
from server.probes import Probes
from server.pulling import Pulls


class HalfGrid:
    """Answers at once, but for what is held back, where a pull waits as Flower's does."""

    def __init__(self, half: frozenset[str]) -> None:
        self.half, self.whole, self.pulls = half, threading.Event(), list[str]()
        self._messages: dict[str, Message] = {}

    def push_messages(self, messages: list[Message]) -> list[str]:
        ids = [f"m{len(self._messages) + number}" for number, _ in enumerate(messages)]
        self._messages |= dict(zip(ids, messages, strict=True))
        for message_id, message in zip(ids, messages, strict=True):
            message.metadata.__dict__["_message_id"] = message_id
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        (message_id,) = message_ids
        self.pulls.append(message_id)
        if message_id == "broken":
            raise OSError("no connection")
        if message_id in self.half:
            self.whole.wait(30)
        return [Message(RecordDict({"said": ConfigRecord({"id": message_id})}), reply_to=self._messages[message_id])]


@pytest.fixture(autouse=True)
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    limits = dict(pull_objects.__kwdefaults__)
    for module in (server.pulling, server.exchange):
        monkeypatch.setattr(module, "is_networked", lambda grid: isinstance(grid, HalfGrid))
    monkeypatch.setattr(server.pulling, "PATIENCE_S", 0.1)
    with identity(1):
        yield
    pull_objects.__kwdefaults__.update(limits)


def messages(count: int) -> list[Message]:
    return [Message(RecordDict(), number + 1, "train", ttl=60.0) for number in range(count)]


def test_N02_a_reply_of_which_the_rest_never_comes_costs_the_deadline_and_no_other_reply() -> None:
    grid, taken = HalfGrid(frozenset({"m0", "m2"})), list[str]()

    def take(reply: Message) -> bool:
        taken.append(reply.metadata.reply_to_message_id)
        return True

    began = time.monotonic()
    waited = collect(as_grid(grid), messages(4), Wait(1.0, poll_s=0.05), take)
    assert time.monotonic() - began < 5
    grid.whole.set()
    assert taken == ["m1", "m3"]
    assert waited.unanswered == ("m0", "m2")
    assert not waited.met
    assert grid.pulls.count("m0") == 1  # Flower announces a reply once: a second pull would find nothing


def as_grid(grid: HalfGrid) -> Any:
    return grid


def test_a_reply_whose_rest_comes_is_taken_in_the_same_round() -> None:
    grid, taken = HalfGrid(frozenset({"m0"})), list[str]()

    def take(reply: Message) -> bool:
        taken.append(reply.metadata.reply_to_message_id)
        if taken == ["m1"]:
            grid.whole.set()
        return True

    waited = collect(as_grid(grid), messages(2), Wait(20.0, poll_s=0.05), take)
    assert sorted(taken) == ["m0", "m1"]
    assert waited.met


def test_what_goes_wrong_in_a_pull_is_raised_to_whoever_looks() -> None:
    pulls = Pulls(as_grid(HalfGrid(frozenset())))
    with pytest.raises(OSError, match="no connection"):
        pulls.look(messages(1)[0], "broken", 5.0)


def test_a_probe_that_is_half_answered_holds_up_nobody() -> None:
    grid = HalfGrid(frozenset({"m0"}))
    probes = Probes(as_grid(grid))
    probes.send({"ash": 1, "birch": 2})
    began = time.monotonic()
    assert probes.answered() == ["birch"]
    assert probes.answered() == []
    assert time.monotonic() - began < 5
    grid.whole.set()


class ParcelGrid(HalfGrid):
    """Takes parcels and answers with them; ``m1`` with something that only claims to be one."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        (reply,) = super().pull_messages(message_ids)
        assert all(is_parcel(message) for message in self._messages.values())
        bad = RecordDict({PARCEL: ConfigRecord({"body": b"\xff"})})
        sender = self._messages[reply.metadata.reply_to_message_id]
        is_bad = reply.metadata.reply_to_message_id == "m1"
        return [Message(bad, reply_to=sender) if is_bad else packed(reply)]


def test_U25_between_machines_messages_are_parcels_and_a_bad_one_is_a_reply_without_records() -> None:
    taken = dict[str, list[str]]()

    def take(reply: Message) -> bool:
        taken[reply.metadata.reply_to_message_id] = list(reply.content)
        return True

    sent = messages(3)
    collect(as_grid(ParcelGrid(frozenset())), sent, Wait(3.0), take)
    assert taken == {"m0": ["said"], "m1": [], "m2": ["said"]}
    assert [message.metadata.message_id for message in sent] == ["m0", "m1", "m2"]  # by which replies are told apart


def test_flower_waits_no_longer_than_it_is_told() -> None:
    limit_pulls(7.0)
    assert pull_objects.__kwdefaults__["max_time"] == 7.0
    collect(as_grid(HalfGrid(frozenset())), messages(1), Wait(3.0), lambda reply: True)
    assert pull_objects.__kwdefaults__["max_time"] == 3.0
