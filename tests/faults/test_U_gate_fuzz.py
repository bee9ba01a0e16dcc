"""U59: whatever arrives, the gate returns a verdict, and what it accepts is what was agreed.

``FEDMCE_FUZZ=100000`` tries as many replies in the slow test; 10,000 without it.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Error
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fedmce.config.schema import ContributionsConfig
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, array_record
from server.gate import CHECKS, REASONS, Accepted, Refused, RoundGate, strike_of
from server.gate.verdicts import LONGEST_DETAIL
from server.roster import RowCounts
from tests.faults.made_replies import Sent, answer, asked, model, moved, records

QUICK, MANY = 300, int(os.environ.get("FEDMCE_FUZZ", "10000"))
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
BASE = model({"encoder.a": 3, "fusion": 2}, width=4)
TOLD = {"fusion/control": (2, 2)}

numbers = st.one_of(st.integers(-(2**80), 2**80), st.floats(), st.booleans(), st.text(max_size=5), st.none())
values = st.one_of(
    numbers, st.lists(numbers, max_size=5), st.lists(st.integers(-1, 9), max_size=5), st.binary(max_size=9)
)
npy_starts = st.sampled_from([b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00v\x00", b"\x93NUMPY\x02\x00"])
headers = st.sampled_from(
    [
        b"",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 4), }",
        b"{'descr': '<f4', 'fortran_order': True, 'shape': (274877906944,), }",
        b"(" * 300,
    ]
)
bytestrings = st.builds(lambda *parts: b"".join(parts), npy_starts, headers, st.binary(max_size=150))
arrays = st.builds(
    Array,
    st.sampled_from(["float32", "<f4", "float64", "object", "|V9", ""]),
    st.lists(st.integers(-1, 4), max_size=3).map(tuple),
    st.sampled_from(["numpy.ndarray", "pickle", ""]),
    bytestrings,
)
names = st.one_of(st.sampled_from([*BASE, "fusion", "encoder.a/", "/", "head.b/w"]), st.text(max_size=6))
report_keys = st.one_of(
    st.sampled_from(
        ["rows.fusion", "rows.encoder.a", "rows.", "steps", "train_s", "loss.task", "loss.", "score.", "score.accuracy"]
        + [f"score.accuracy.{part}" for part in ("subset", "total", "count")]
        + [f"{table}.{part}" for table in ("value", "share") for part in ("rows", "total", "square", "size", "subset")]
    ),
    st.text(max_size=6),
)
record_kinds = st.one_of(
    st.dictionaries(st.text(max_size=4), values, max_size=3).map(lambda d: put(MetricRecord(), d)),
    st.dictionaries(st.sampled_from(["schema", "site", "round"]), values).map(lambda d: put(ConfigRecord(), d)),
    st.dictionaries(names, arrays, max_size=2).map(ArrayRecord),
)


def put(record: Any, data: dict[str, Any]) -> Any:
    """Values past the checks of Flower's records: a hostile site does not run them."""
    record.__dict__["_data"] = dict(data)
    return record


def sent() -> Sent:
    shares = RowCounts({1: 20, 2: 5, 3: 15}, {(0, 1): 20, (1, 1): 5, (0, 2): 15, (1, 2): 15})
    return asked(
        "a", 2, BASE, contributions=ContributionsConfig(), measured=shares, told=TOLD, norm_limits={"fusion": 5.0}
    )


SENT = sent()


def honest_records() -> dict[str, Any]:
    told = {"fusion/control": np.zeros((2, 2), np.float32)}
    return records(SENT, moved(BASE, 1)) | {"shared": array_record(told)}


HONEST = honest_records()


def change_array(data: st.DataObject, content: dict[str, Any]) -> None:
    """One array: replaced, with other bytes, or with one bit's worth changed."""
    name = data.draw(st.sampled_from(["update", "shared"]))
    update = dict(content[name])
    key = data.draw(st.sampled_from(sorted(update)))
    old, kind = update[key], data.draw(st.sampled_from(["any", "bytes", "flip", "drop", "other key"]))
    if kind == "any":
        update[key] = data.draw(arrays)
    elif kind == "bytes":
        update[key] = Array(old.dtype, old.shape, old.stype, data.draw(bytestrings))
    elif kind == "flip":
        changed = bytearray(old.data)
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        update[key] = Array(old.dtype, old.shape, old.stype, bytes(changed))
    elif kind == "drop":
        del update[key]
    else:
        update[data.draw(names)] = old
    content[name] = ArrayRecord(update)


def change_report(data: st.DataObject, content: dict[str, Any]) -> None:
    report = dict(content["report"])
    for key in data.draw(st.lists(report_keys, min_size=1, max_size=4)):
        report[key] = data.draw(values)
    content["report"] = put(MetricRecord(), report)


def change_stamp(data: st.DataObject, content: dict[str, Any]) -> None:
    stamp = dict(content["stamp"])
    stamp[data.draw(st.sampled_from([*stamp, "x"]))] = data.draw(values)
    content["stamp"] = put(ConfigRecord(), stamp)


def change_records(data: st.DataObject, content: dict[str, Any]) -> None:
    name = data.draw(st.sampled_from(["update", "report", "stamp", "shared", "order", "x"]))
    content[name] = data.draw(record_kinds)
    if data.draw(st.booleans()):
        content.pop(data.draw(st.sampled_from(sorted(content))))


CHANGES = (change_array, change_report, change_stamp, change_records)


def change_envelope(data: st.DataObject, reply: Message) -> None:
    if data.draw(st.integers(0, 9)):
        return
    field = data.draw(st.sampled_from(["run_id", "src_node_id", "reply_to_message_id", "message_type", "group_id"]))
    reply.metadata.__dict__[f"_{field}"] = data.draw(numbers)


def a_reply(data: st.DataObject) -> Message:
    if not data.draw(st.integers(0, 19)):
        error = Error(code=0, reason=data.draw(st.text(max_size=50)))
        error.__dict__["_code"] = data.draw(numbers)
        return Message(error, reply_to=SENT.message)
    content = dict(HONEST)
    for number in sorted(data.draw(st.sets(st.integers(0, len(CHANGES) - 1)))):  # records as a whole come last
        CHANGES[number](data, content)
    return answer(SENT, content)


def check(data: st.DataObject) -> None:
    reply = a_reply(data)
    change_envelope(data, reply)
    judged = RoundGate([SENT], refuse_copies=True)
    try:
        site, verdict = judged.judge(reply)
    finally:
        judged.judge(reply)
    event(verdict.reason if isinstance(verdict, Refused) else "accepted")
    assert site in ("a", None)
    assert isinstance(verdict, Accepted | Refused)
    assert strike_of(verdict) in ("none", "liveness", "content")
    assert isinstance(judged.verdicts()["a"], Accepted | Refused)
    if isinstance(verdict, Refused):
        assert verdict.reason in REASONS
        assert 1 <= verdict.check <= 29
        assert len(verdict.detail) <= LONGEST_DETAIL
        assert verdict.detail.isprintable()
        return
    assert set(verdict.update) <= set(BASE)
    for key, value in verdict.update.items():
        assert value.dtype == np.float32
        assert value.shape == BASE[key].shape
        assert np.abs(value).max() <= 1e4
    assert all(type(rows) is int and 0 <= rows <= 40 for rows in verdict.rows.values())
    assert 1 <= verdict.steps <= 10
    told = [n for by_subset in verdict.cells.values() for cell in by_subset.values() for n in cell]
    if verdict.tally is not None:
        tables = (verdict.tally.values, verdict.tally.shares)
        told += [n for table in tables if table is not None for cell in table.cells.values() for n in cell]
    assert all(math.isfinite(n) for n in [*told, *verdict.losses.values(), *verdict.seconds.values()])
    assert all(len(note.detail) <= LONGEST_DETAIL and note.detail.isprintable() for note in verdict.notes)


@settings(max_examples=QUICK, **UNHURRIED)  # type: ignore[arg-type]
@given(data=st.data())
def test_U59_any_reply_gets_a_verdict(data: st.DataObject) -> None:
    check(data)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=MANY, **UNHURRIED)  # type: ignore[arg-type]
@given(data=st.data())
def test_U59_ten_thousand_replies_get_a_verdict(data: st.DataObject) -> None:
    check(data)


def test_U59_the_untouched_reply_is_accepted() -> None:
    verdict = RoundGate([SENT]).judge(answer(SENT, HONEST))[1]
    assert isinstance(verdict, Accepted)
    assert [note.reason for note in verdict.notes] == ["claim"]  # it claims nothing
    assert set(verdict.told) == set(TOLD)


def test_every_reason_has_its_check() -> None:
    assert set(CHECKS) == set(REASONS)
    assert sorted(set(CHECKS.values())) == list(range(1, 30))
