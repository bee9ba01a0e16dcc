"""The release ledger of a site and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmce.audit.verify import heads_in_ledger
from fedmce.cli.app import app
from fedmce.errors import StateError
from fedmce.privacy import Block, Entry, Ledger, read_ledger
from tests.privacy.made import floored_config, floored_dataset, floors, run_recorded


def entry(number: int, head: str = "") -> Entry:
    block = Block("encoder.m", 40, 1.25, None, 0.0, False, (), "ab" * 16)
    return Entry(number, "train", "north", "cd" * 32, "", 3, 10, 16, (block,), {"steps": 1}, "ef" * 16, head)


def test_lines_are_added_for_the_owner_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "home")
    for number in range(3):
        ledger.write(entry(number))
    assert [line["round"] for line in read_ledger(ledger.path)] == [0, 1, 2]
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_power_cut_left_half_written_gives_way_to_the_next(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(entry(1))
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[: len(whole) // 2])
    assert len(list(read_ledger(ledger.path))) == 1
    ledger.write(entry(2))
    assert [line["round"] for line in read_ledger(ledger.path)] == [1, 2]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("")
    Ledger(tmp_path).path.symlink_to(other)
    with pytest.raises(OSError):  # noqa: PT011 - the number differs between systems
        Ledger(tmp_path).write(entry(1))
    assert other.read_text() == ""


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(entry(1))
    ledger.write(entry(2))
    ledger.path.write_text(ledger.path.read_text().replace("train", 'tr"ain', 1))
    with pytest.raises(StateError, match=r"line 1: no entry of a ledger"):
        list(read_ledger(ledger.path))
    with pytest.raises(StateError, match="no readable ledger"):
        list(read_ledger(tmp_path / "elsewhere"))


def test_heads_of_the_server_s_audit_log_are_found_by_its_verifier(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(entry(1))
    ledger.write(entry(2, "41:" + "0" * 64))
    (head,) = heads_in_ledger(ledger.path)
    assert (head.seq, head.h) == (41, "0" * 64)


def test_the_command_says_what_left_and_what_was_held_back(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(floors(), rounds=1), floored_dataset(), tmp_path)
    said = CliRunner().invoke(app, ["client", "ledger", str(dump.homes / "cedar")])
    assert said.exit_code == 0, said.output
    text = said.output
    assert "round 0 profile:" in text
    assert "round 1 train:" in text
    assert "4 sites asked" in text
    assert "encoder.sound            held back (rows)" in text
    assert "encoder.blood            160 rows, change" in text
    assert "noise 0.02, cut to" in text
    assert "4 blocks held back" in text
    as_json = CliRunner().invoke(app, ["client", "ledger", str(dump.homes / "cedar" / "ledger.jsonl"), "--json"])
    assert len(json.loads(as_json.output)) == len(dump.grid.of("cedar"))
    missing = CliRunner().invoke(app, ["client", "ledger", str(tmp_path / "nothing")])
    assert missing.exit_code == 5
