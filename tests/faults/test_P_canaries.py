"""P05: marks that stand in a site's data, paths and error texts are nowhere in what leaves the site."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import client.rounds
from fedmce.data import FederatedDataset
from fedmce.privacy import read_ledger
from fedmce.record import read_record
from fedmce.training import train_locally
from tests.privacy.made import Dump, floored_config, floored_dataset, run_recorded


class Canaries:
    """Random 16-byte marks, and where they are found in any spelling."""

    def __init__(self) -> None:
        self.marks: list[bytes] = []

    def new(self) -> str:
        self.marks.append(secrets.token_bytes(16))
        return self.marks[-1].hex()

    @property
    def spellings(self) -> Iterator[bytes]:
        for mark in self.marks:
            yield from (mark, mark.hex().encode(), mark.hex().upper().encode(), base64.b64encode(mark).rstrip(b"="))

    def found_in(self, data: bytes) -> list[bytes]:
        return [spelling for spelling in self.spellings if spelling in data]


def marked(dataset: FederatedDataset, canaries: Canaries) -> FederatedDataset:
    """The data set with a mark in every name of a row."""
    sites = {
        name: replace(site, sample_ids=tuple(f"{canaries.new()}-{row}" for row, _ in enumerate(site.sample_ids)))
        for name, site in dataset.sites.items()
    }
    return replace(dataset, sites=sites)


def prepare(canaries: Canaries) -> Any:
    """Marks in comments, provenance and an extra file of every folder."""

    def write(path: Path) -> None:
        for folder in path.iterdir():
            with (folder / "site.yaml").open("a") as file:
                file.write(f"# {canaries.new()}\n")
            (folder / f"{canaries.new()}.txt").write_text(canaries.new())

    return write


def messages(dump: Dump) -> Iterator[tuple[str, bytes]]:
    for said in dump.grid.said:
        where = f"{said.site} {said.kind} {said.round}"
        yield f"{where} down", said.bytes_down
        yield f"{where} up", said.bytes_up
        yield f"{where} metadata", repr(said.up.metadata).encode()


def what_left(dump: Dump) -> Iterator[tuple[str, bytes]]:
    """Every message of a run, every file of its server with its name, and the sites' ledgers."""
    yield from messages(dump)
    for file in sorted(file for file in dump.folder.rglob("*") if file.is_file()):
        yield str(file), str(file.relative_to(dump.folder)).encode() + file.read_bytes()
    yield from ((str(file), file.read_bytes()) for file in sorted(dump.homes.glob("*/ledger.jsonl")))


def failing_at_ash(canaries: Canaries) -> Callable[..., Any]:
    """The local training, which at one site fails every second time with its rows in the text."""
    trainings = list[str]()

    def train(net: Any, rows: Any, *rest: Any, **more: Any) -> Any:
        trainings.append(rows.observed.site)
        if rows.observed.site == "ash" and trainings.count("ash") % 2 == 0:
            raise RuntimeError(f"row {rows.observed.sample_ids[3]}: {canaries.new()} {rows.observed.sample_ids}")
        return train_locally(net, rows, *rest, **more)

    return train


def test_P05_no_byte_of_a_canary_leaves_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Ids, paths, comments, file names; a training that raises with a row in its text; a file that goes missing."""
    caplog.set_level(logging.DEBUG)
    canaries = Canaries()
    out = tmp_path / canaries.new()
    monkeypatch.setattr(client.rounds, "train_locally", failing_at_ash(canaries))

    def losing(site: str, message: Any) -> None:
        if site == "dale" and message.metadata.group_id == "2":
            for file in (out / "sites" / "dale" / "features").iterdir():
                file.unlink(missing_ok=True)

    dump = run_recorded(floored_config(rounds=3), marked(floored_dataset(), canaries), out, losing, prepare(canaries))
    assert dump.error is None
    errors = {said.error for said in dump.grid.said if said.error}
    assert errors >= {"internal"} and len(errors) >= 2, errors  # noqa: PT018 - one sentence
    scanned = 0
    for where, data in what_left(dump):
        assert canaries.found_in(data) == [], where
        scanned += len(data)
    assert {"record.jsonl", "result.json", "model.safetensors"} <= {file.name for file in dump.folder.iterdir()}
    said = capfd.readouterr()
    text = (said.out + said.err + caplog.text).encode()
    assert canaries.found_in(text) == []
    for site in ("ash", "birch", "cedar", "dale"):
        assert list(read_ledger(dump.homes / site / "ledger.jsonl"))
    assert scanned + len(text) > 1_000_000
    # The marks are where they should be, so that the search means something.
    assert canaries.found_in((dump.homes / "ash" / "log" / "site.log").read_bytes())
    assert len(canaries.marks) > 900
    assert read_record(dump.folder)[-1]["status"] == "finished"


def test_P05_the_search_finds_a_mark_in_every_spelling() -> None:
    canaries = Canaries()
    text = canaries.new()
    for data in (text.encode(), bytes.fromhex(text), base64.b64encode(bytes.fromhex(text)), text.upper().encode()):
        assert canaries.found_in(b"x" + data + b"y")
    assert not canaries.found_in(bytes.fromhex(text)[:15])
