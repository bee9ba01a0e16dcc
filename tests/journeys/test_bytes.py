"""A site that lacks a modality neither receives nor sends what belongs to it: on the wire and in the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmce.data import FederatedDataset
from fedmce.flower_compat import Message, payload_bytes
from fedmce.models import MultimodalNet, component_of, components, modality_of, state_of
from fedmce.networks import spec_for
from fedmce.record import read_record
from simulations.engines.inprocess import InProcessGrid
from tests.journeys.runs import result, rounds, run
from tests.server.made import LACKS, METHODS, SITES, made_config

OWNERS = [method for method in METHODS if method != "fedavg_zero"]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, list[tuple[Message, Message]]]]:
    """Every message and its reply, per node, as the grid carried them."""
    carried: dict[int, list[tuple[Message, Message]]] = {}
    push, pull = InProcessGrid.push_messages, InProcessGrid.pull_messages
    waiting: dict[str, Message] = {}

    def pushed(self: InProcessGrid, messages: Iterable[Message]) -> Iterable[str]:
        ids = list(push(self, messages))
        waiting.update(zip(ids, messages, strict=True))
        return ids

    def pulled(self: InProcessGrid, ids: Iterable[str]) -> Iterable[Message]:
        for reply in (replies := list(pull(self, ids))):
            sent = waiting.pop(reply.metadata.reply_to_message_id)
            carried.setdefault(sent.metadata.dst_node_id, []).append((sent, reply))
        return replies

    monkeypatch.setattr(InProcessGrid, "push_messages", pushed)
    monkeypatch.setattr(InProcessGrid, "pull_messages", pulled)
    yield carried
    assert not waiting


def modalities_of(keys: Iterable[str]) -> set[str | None]:
    return {modality_of(component_of(key)) for key in keys}


@pytest.mark.parametrize("method", OWNERS)
def test_no_message_carries_a_component_that_its_site_cannot_use(
    made: FederatedDataset, tmp_path: Path, wire: dict[int, list[tuple[Message, Message]]], method: str
) -> None:
    run(made_config(method), tmp_path)
    assert sorted(wire) == [1, 2, 3, 4]
    for node, site in enumerate(SITES, start=1):
        held = {"image", "sound", "blood"} - {LACKS.get(site)}
        profile, *training, scoring = wire[node]
        assert set(profile[0].content) == {"order"}
        assert len(training) == 2
        for sent, reply in (*training, scoring):
            assert modalities_of(sent.content["model"]) - {None} == held
            assert {key.partition("/")[0] for key in sent.content["statistics"]} == held
            assert set(sent.content["order"]["modalities"]) == held
            assert set(reply.content) == {"report", "stamp"} | ({"update"} if reply is not scoring[1] else set())
        for sent, reply in training:
            assert set(reply.content["update"]) == set(sent.content["model"])
            told = {key.removeprefix("rows.") for key in reply.content["report"] if key.startswith("rows.")}
            assert told == {component_of(key) for key in sent.content["model"]}


@pytest.mark.parametrize("method", OWNERS)
def test_the_bytes_by_component_in_the_record_prove_it(made: FederatedDataset, tmp_path: Path, method: str) -> None:
    run(made_config(method), tmp_path)
    net = MultimodalNet(spec_for(made, made_config(method)))
    kinds = {component.partition(".")[0] for component in components(state_of(net))} - {"fusion"}
    assert {"encoder", "projection"} <= kinds
    assert (kinds == {"encoder", "projection", "head", "completion"}) == (method == "fedmce")
    for row in rounds(tmp_path):
        for site, entry in row["sites"].items():
            held = {"image", "sound", "blood"} - {LACKS.get(site)}
            needed = {f"{kind}.{modality}" for kind in kinds for modality in held} | {"fusion"}
            for way in ("down", "up"):
                sizes = entry[f"bytes_{way}_by_component"]
                assert set(sizes) == needed, (site, way)
                assert all(size > 0 for size in sizes.values())
    granted = {row["site"]: row["components"] for row in read_record(tmp_path) if row["event"] == "profile"}
    assert all(set(granted[s]) == set(e["bytes_up_by_component"]) for s, e in rounds(tmp_path)[0]["sites"].items())


def test_plain_fedavg_sends_everything_to_everybody(made: FederatedDataset, tmp_path: Path) -> None:
    """The baseline that the bytes above are compared with."""
    run(made_config("fedavg_zero"), tmp_path)
    for row in rounds(tmp_path):
        parts = [set(entry["bytes_up_by_component"]) for entry in row["sites"].values()]
        assert all(part == parts[0] for part in parts)
        assert {modality_of(c) for c in parts[0]} == {"image", "sound", "blood", None}


def test_the_bytes_in_the_record_are_those_of_the_messages(
    made: FederatedDataset, tmp_path: Path, wire: dict[int, list[tuple[Message, Message]]]
) -> None:
    run(made_config(), tmp_path)
    found = {site: wire[node] for node, site in enumerate(SITES, start=1)}
    for number, row in enumerate(rounds(tmp_path), start=1):
        for site, entry in row["sites"].items():
            sent, reply = found[site][number]
            assert entry["bytes_down"] == payload_bytes(sent.content)
            assert entry["bytes_up"] == payload_bytes(reply.content)
            for way, content in (("down", sent.content["model"]), ("up", reply.content["update"])):
                whole = sum(len(array.data) for array in content.values())
                extra = sum(len(a.data) for a in sent.content["statistics"].values()) if way == "down" else 0
                assert sum(entry[f"bytes_{way}_by_component"].values()) == whole + extra
    every = [pair for pairs in wire.values() for pair in pairs]
    communication: dict[str, Any] = result(tmp_path)["communication"]
    assert communication["bytes_down"] == sum(payload_bytes(sent.content) for sent, _ in every)
    assert communication["bytes_up"] == sum(payload_bytes(reply.content) for _, reply in every)


def test_one_message_per_site_and_round_and_nothing_per_row(
    made: FederatedDataset, tmp_path: Path, wire: dict[int, list[tuple[Message, Message]]]
) -> None:
    run(made_config(rounds=3), tmp_path)
    assert all(len(pairs) == 1 + 3 + 1 for pairs in wire.values())
    for pairs in wire.values():
        for _, reply in pairs:
            report = reply.content["report"]
            assert all(len(value) < 24 for value in report.values() if isinstance(value, list))
