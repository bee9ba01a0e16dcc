"""The event log: strict JSON, one whole line per event, readable after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.errors import DataError
from fedmce.record import RecordWriter, read_record
from fedmce.record.writer import strict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no strict JSON")


@given(value=JSON)
def test_anything_becomes_strict_json(value: Any) -> None:
    text = json.dumps(strict(value), allow_nan=False)
    assert json.loads(text, parse_constant=refuse) == strict(value)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32("nan"), None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ((1, [float("inf")]), [1, [None]]),
        ({1: {"a": np.float32(0.25)}}, {"1": {"a": 0.25}}),
    ],
)
def test_what_is_not_defined_is_null_and_numpy_s_numbers_are_plain(given_value: Any, expected: Any) -> None:
    found = strict(given_value)
    assert found == expected
    assert type(found) is type(expected)


def test_events_come_back_in_order_with_their_time(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    writer = RecordWriter(tmp_path, seen.append)
    written = [
        writer.write("start", name="zürich\u2028\n", nan=float("nan")),
        writer.write("round", round=1, sites={"x": {"train_s": np.float64(0.5)}}),
    ]
    rows = read_record(tmp_path)
    assert rows == written == seen
    assert [row["event"] for row in rows] == ["start", "round"]
    assert rows[0]["nan"] is None
    assert all(row["time"].endswith("+00:00") for row in rows)


def test_every_event_is_a_whole_line_on_disk_before_the_next_step(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for number in range(3):
        writer.write("round", round=number)
        text = (tmp_path / "record.jsonl").read_text()
        assert text.endswith("\n")
        assert len(text.splitlines()) == number + 1


def test_a_record_cut_at_any_byte_keeps_all_whole_events(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    rows = [writer.write("round", round=number, text="ü}{") for number in range(3)]
    path = tmp_path / "record.jsonl"
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        ends = [i for i, byte in enumerate(whole, start=1) if byte == ord("\n")]
        done = sum(cut >= end - 1 for end in ends)
        assert read_record(tmp_path) == rows[:done]


def test_a_changed_line_in_the_middle_is_refused_by_number(tmp_path: Path) -> None:
    (tmp_path / "record.jsonl").write_text('{"event":"start"}\n{"event":\n{"event":"end"}\n')
    with pytest.raises(DataError, match=r"record\.jsonl, line 2: not JSON"):
        read_record(tmp_path)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no readable record\.jsonl; the folder of a run is needed"):
        read_record(tmp_path / "nowhere")
