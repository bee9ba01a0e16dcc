"""What an operator reads of a run and says to it, from the files of a server folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.kits.manage import revoke
from fedmce.kits.server_folder import ServerFolder
from fedmce.record import RecordWriter
from server.operator_word import Told, Words
from tests.kits.made import LATER, project


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    return project(tmp_path / "server", sites=("north", "south", "west"))


def said(folder: ServerFolder, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["server", *arguments, "--dir", str(folder.path)])
    return done.exit_code, done.output


def recorded(folder: ServerFolder, number: int, **changes: Any) -> None:
    run = folder.path / "run"
    run.mkdir(exist_ok=True)
    told = {"verdict": "accepted", "detail": ""}
    row = {"sites": {"north": told}, "asked": ["north"], "benched": {}, "suspect": [], "expelled": []} | changes
    RecordWriter(run).write("round", round=number, **row)


def standings(folder: ServerFolder) -> dict[str, str]:
    code, text = said(folder, "status", "--json")
    assert code == 0
    return {site: about["standing"] for site, about in json.loads(text)["sites"].items()}


def test_before_the_first_round_nobody_was_asked(folder: ServerFolder) -> None:
    code, text = said(folder, "status")
    assert code == 0
    assert "does not run" in text
    assert "round 0 of 3" in text
    assert text.count("never asked") == 3


def test_each_site_stands_as_the_last_round_left_it(folder: ServerFolder) -> None:
    recorded(folder, 1, sites={"south": {"verdict": "nonfinite", "detail": "encoder.m"}}, asked=["south"])
    recorded(folder, 2, benched={"west": 5}, expelled=["south"])
    assert standings(folder) == {"north": "good", "south": "expelled", "west": "benched to round 5"}
    _, text = said(folder, "status")
    assert "round 2 of 3" in text
    assert "round 1: nonfinite encoder.m; to ask it again: fedmce server readmit south" in text
    recorded(folder, 3, suspect=["north"], asked=[])
    assert standings(folder) == {"north": "silent", "south": "not there", "west": "not there"}


def test_a_site_without_a_key_says_so_and_cannot_be_readmitted(folder: ServerFolder) -> None:
    revoke(folder.path, "west", LATER)
    assert standings(folder)["west"] == "no key that counts"
    code, text = said(folder, "readmit", "west")
    assert code == 2
    assert "fedmce server register" in text


def test_a_word_is_left_for_the_next_round(folder: ServerFolder) -> None:
    assert said(folder, "readmit", "south")[0] == 0
    assert Words(folder.path / "run").hear() == (Told("readmit", "south"),)
    code, text = said(folder, "readmit", "sauth")
    assert code == 2
    assert "south" in text
