"""A record that another process writes, followed: every row once, whatever is cut off it and whenever one looks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.errors import DataError
from fedmce.record import RecordFollower, RecordWriter, read_record

LOOK, HALF, ROW = "look", "half", "row"
BEGINNING = '{"event":"ro'
STEPS = st.lists(st.sampled_from([LOOK, HALF, ROW, ROW]) | st.integers(0, 9), max_size=40)


class Looks:
    """Looks with the follower, and without: all that is there against all that was handed over so far."""

    def __init__(self, folder: Path) -> None:
        self.path, self.follower = folder / "record.jsonl", RecordFollower(folder)
        self.handed: list[dict[str, Any]] = []

    def look(self) -> None:
        there = read_record(self.path.parent) if self.path.exists() else []
        pairs = zip(self.handed, there, strict=False)
        kept = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(self.handed), len(there)))
        assert self.follower.new() == there[kept:]
        assert self.follower.new() == []
        self.handed = there


@given(steps=STEPS)
def test_rows_come_once_each_and_those_after_a_cut_are_new(
    steps: list[str | int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    looks, writer = Looks(folder), RecordWriter(folder)
    for number, step in enumerate(steps):
        if step == ROW:
            writer.write("round", number=number, text="ü" * (number % 3))
        elif step == HALF:
            with looks.path.open("a") as file:
                file.write(BEGINNING)
            looks.look()
            os.truncate(looks.path, looks.path.stat().st_size - len(BEGINNING))
        elif step == LOOK:
            looks.look()
        elif looks.path.exists():  # cut back to so many rows, as by a run that goes on
            lines = looks.path.read_bytes().splitlines(keepends=True)
            os.truncate(looks.path, sum(map(len, lines[: int(step)])))
    looks.look()


def test_a_look_reads_no_more_than_the_last_row_and_what_is_new(tmp_path: Path) -> None:
    """What was handed over may be unreadable by now: it is not looked at."""
    writer, follower = RecordWriter(tmp_path), RecordFollower(tmp_path)
    rows = [writer.write("round", number=number) for number in range(3)]
    assert follower.new() == rows
    path = tmp_path / "record.jsonl"
    data = bytearray(path.read_bytes())
    data[:5] = b"xxxxx"
    path.write_bytes(bytes(data))
    row = writer.write("round", number=3)
    assert follower.new() == [row]


def test_a_line_that_is_no_row_is_refused_by_number(tmp_path: Path) -> None:
    writer, follower = RecordWriter(tmp_path), RecordFollower(tmp_path)
    writer.write("start")
    assert len(follower.new()) == 1
    with (tmp_path / "record.jsonl").open("a") as file:
        file.write('{"event":\n')
    with pytest.raises(DataError, match=r"record\.jsonl, line 2: not JSON"):
        follower.new()


def test_where_there_is_no_record_there_are_no_rows(tmp_path: Path) -> None:
    assert RecordFollower(tmp_path / "nowhere").new() == []
