"""Bad replies as Flower carries them: taken apart into objects, hashed, put together again by the server's own code."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from fedmce.flower_compat import Message, RecordDict, pulled
from server.exchange import Wait, collect
from server.gate import Accepted, Refused, RoundGate, Verdict
from tests.faults.table_2_1 import BAD, KINDS, Kind, Scene
from tests.faults.test_U_table import SET_ASIDE

AT_CLIENT = {20}  # Flower's records take no such value, so it cannot be sent by them
CHANGED = [kind for kind in KINDS if kind.change is not None]


def objects(message: Message) -> dict[str, bytes]:
    """What a node pushes."""
    return {name: part.deflate() for name, part in get_all_nested_objects(message).items()}


def carried(message: Message, parts: dict[str, bytes] | None = None) -> Message:
    """What the server builds of it."""
    found = cast(Message, inflate_object_from_contents(message.object_id, dict(parts or objects(message))))
    found.metadata.__dict__["_message_id"] = message.object_id  # as Flower's grid does, whatever was built
    return found


@pytest.mark.parametrize("kind", CHANGED, ids=lambda kind: f"{kind.number} {kind.name}")
def test_U60_the_reasons_are_the_same_after_flowers_wire(kind: Kind) -> None:
    scene = Scene()
    reply = scene.reply("bad", BAD, kind.change)
    if kind.number in AT_CLIENT:
        with pytest.raises(TypeError):
            objects(reply)
        return
    verdicts: list[Verdict] = [RoundGate(list(scene.sent.values())).judge(r)[1] for r in (reply, carried(reply))]
    assert [type(verdict) for verdict in verdicts] == 2 * [type(verdicts[0])]
    for verdict in verdicts:
        if isinstance(verdict, Refused):
            assert verdict.reason == SET_ASIDE[kind.number]
        else:
            assert verdict.notes == verdicts[0].notes  # type: ignore[union-attr]


class WireGrid:
    """A grid whose replies are built from objects at the moment of the pull."""

    def __init__(self, scene: Scene, spoil: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
        self.replies = {reply.metadata.reply_to_message_id: reply for reply in scene.good()}
        bad = scene.reply("bad", BAD)
        self.replies[bad.metadata.reply_to_message_id] = bad
        self.bad, self.spoil = bad, spoil

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        found = []
        for name in message_ids:
            reply = self.replies.pop(name, None)
            if reply is not None:
                found.append(carried(reply, self.spoil(objects(reply)) if reply is self.bad else None))
        return found


def cut(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {name: body[: len(body) // 2] for name, body in parts.items()}


def emptied(parts: dict[str, bytes]) -> dict[str, bytes]:
    return dict.fromkeys(parts, b"")


def of_another_kind(parts: dict[str, bytes]) -> dict[str, bytes]:
    bodies = list(parts.values())
    return dict(zip(parts, [*bodies[1:], bodies[0]], strict=True))


def lost(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {name: body for name, body in parts.items() if not body.startswith(b"Array ")}


def without_json(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {name: body.replace(b"{", b"[") for name, body in parts.items()}


def flipped(seed: int) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def flip(parts: dict[str, bytes]) -> dict[str, bytes]:
        draw, found = random.Random(seed), {}
        for name, body in parts.items():
            changed = bytearray(body)
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            found[name] = bytes(changed)
        return found

    return flip


SPOILED = {"cut": cut, "empty": emptied, "other kinds": of_another_kind, "lost": lost, "no json": without_json}
SPOILED |= {f"flipped {seed}": flipped(seed) for seed in range(40)}


@pytest.mark.parametrize("how", SPOILED)
def test_U59_objects_that_flower_cannot_build_cost_their_reply_alone(how: str) -> None:
    scene = Scene()
    judged = RoundGate(list(scene.sent.values()))
    grid: Any = WireGrid(scene, SPOILED[how])
    messages = [sent.message for sent in scene.sent.values()]

    def take(reply: Message) -> bool:
        return isinstance(judged.judge(reply)[1], Accepted)

    began = time.monotonic()
    collect(grid, messages, Wait(0.2, poll_s=0.05), take)
    assert time.monotonic() - began < 30
    verdicts = judged.verdicts()
    assert all(isinstance(verdicts[site], Accepted) for site in list(scene.sent)[:4])
    if not how.startswith("flipped"):
        verdict = verdicts["bad"]
        assert isinstance(verdict, Refused)
        assert verdict.reason == "layout"


def test_U37_a_node_cannot_answer_in_the_name_of_another() -> None:
    """The envelope within the bytes is the sender's own work; what counts is the message that was pulled for."""
    scene = Scene()
    judged = RoundGate(list(scene.sent.values()))
    grid: Any = WireGrid(scene, dict)
    forged = grid.bad.metadata.__dict__
    victim = scene.sent["s1"].message.metadata
    forged |= {"_reply_to_message_id": victim.message_id, "_src_node_id": victim.dst_node_id}
    messages = [scene.sent[site].message for site in ("bad", "s1", "s2", "s3", "s4")]  # the forger comes first
    collect(grid, messages, Wait(0.2, poll_s=0.05), lambda reply: isinstance(judged.judge(reply)[1], Accepted))
    verdicts = judged.verdicts()
    assert all(isinstance(verdicts[site], Accepted) for site in ("s1", "s2", "s3", "s4"))
    assert verdicts["bad"].reason == "layout"  # type: ignore[union-attr]


@pytest.mark.parametrize("content", ["an array", "a record", "nothing"])
def test_U25_content_that_is_no_dictionary_of_records(content: str) -> None:
    scene = Scene()
    judged = RoundGate(list(scene.sent.values()))
    reply = scene.reply("bad", BAD)
    update = reply.content.array_records["update"]
    odd = {"an array": next(iter(update.values())), "a record": update, "nothing": 0}
    reply.__dict__["_content"] = odd[content]
    site, verdict = judged.judge(reply)
    assert site == "bad"
    assert isinstance(verdict, Refused)
    assert verdict.reason in ("layout", "internal")
    assert judged.arrived()["bad"].verdict == verdict


class BrokenLine:
    """A grid whose connection fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        raise self.error


def test_a_broken_connection_is_not_blamed_on_a_site() -> None:
    import httpx

    message = next(iter(Scene().sent.values())).message
    for error in (httpx.ConnectError("refused"), ConnectionResetError(), httpx.ReadTimeout("slow")):
        with pytest.raises(type(error)):
            pulled(BrokenLine(error), message, "x")
    (reply,) = pulled(BrokenLine(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "patient 4711")), message, "x")
    assert reply.content == RecordDict()
    assert reply.metadata.reply_to_message_id == message.metadata.message_id
