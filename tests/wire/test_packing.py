"""A message and its context survive the way to another process exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Error

from fedmce.flower_compat import (
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    identity,
    pack,
    pack_records,
    unpack,
    unpack_records,
)

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "nan": np.array([np.nan, -0.0, np.inf]),
    "empty": np.zeros((0, 3), np.int64),
    "scalar": np.array(True),
}
RECORDS = RecordDict(
    {
        "model": array_record(ARRAYS),
        "none": ArrayRecord({}),
        "report": MetricRecord({"rows": 3, "loss": 0.1, "list": [1, 2], "floats": [0.5, -1e300]}),
        "order": ConfigRecord({"text": "ü", "flag": True, "bytes": b"\x00\xff", "names": ["x", "y"], "n": 2**60}),
        "model2": array_record({"a": ARRAYS["a"] + 1}),
    }
)


def tree(records: RecordDict) -> dict[str, Any]:
    return {
        name: {
            k: (v.dtype, v.shape, v.stype, v.data) if isinstance(record, ArrayRecord) else v for k, v in record.items()
        }
        for name, record in records.items()
    }


def made(content: RecordDict | None = None) -> tuple[Message, Context]:
    with identity(7):
        message = Message(content or RECORDS, 2**63 + 5, "train", ttl=12.5, group_id="3")
    message.metadata.__dict__["_message_id"] = "m1"
    state = RecordDict({"private": array_record({"w": np.ones(3, np.float32)})})
    return message, Context(7, 2**63 + 5, {"site": "ash", "n": 1, "x": 0.5, "on": True}, state, {"out": "a b"}, 4)


def test_message_and_context_come_back_bit_by_bit() -> None:
    message, context = made()
    back, beside = unpack(pack(message, context))
    assert tree(back.content) == tree(message.content)
    assert [type(r) for r in back.content.values()] == [type(r) for r in message.content.values()]
    assert vars(back.metadata) == vars(message.metadata)
    assert tree(beside.state) == tree(context.state)
    assert {k: v for k, v in vars(beside).items() if k != "state"} == {
        k: v for k, v in vars(context).items() if k != "state"
    }


def test_packing_changes_neither_message_nor_context() -> None:
    message, context = made()
    before = tree(message.content), tree(context.state)
    pack(message, context)
    assert (tree(message.content), tree(context.state)) == before


def test_an_error_reply_comes_back() -> None:
    message, context = made()
    reply, _ = unpack(pack(Message(Error(1003, "data_unavailable"), reply_to=message), context))
    assert (reply.error.code, reply.error.reason) == (1003, "data_unavailable")
    assert reply.metadata.reply_to_message_id == "m1"
    assert not reply.has_content()


def test_records_alone_come_back() -> None:
    assert tree(unpack_records(pack_records(RECORDS))) == tree(RECORDS)


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_other_bytes_are_refused(cut: int) -> None:
    packed = pack(*made())
    for bad in (packed[:-cut], packed + b"\x00" * cut, b"", b"\x00\x00\x00\x00", packed[:cut]):
        with pytest.raises(ValueError, match="packed records"):
            unpack(bad)
