"""Whatever arrives, the gate returns a verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flwr.app import Array
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from server.gate import Accepted, Refused, gate
from tests.server.made import Federation

HONEST: dict[int, Any] = {}
SHARED = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=3), st.none())
values = st.one_of(numbers, st.lists(numbers, max_size=4), st.lists(st.integers(0, 8), max_size=4))
arrays = st.builds(
    Array,
    st.sampled_from(["float32", "float64", "object", "|V9", ""]),
    st.lists(st.integers(-1, 4), max_size=3).map(tuple),
    st.sampled_from(["numpy.ndarray", "pickle", ""]),
    st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda tail: b"\x93NUMPY\x01\x00" + tail)),
)


def put(record: Any, data: dict[str, Any]) -> Any:
    """Values past the checks of Flower's records."""
    record.__dict__["_data"] = data
    return record


def setting(federation: Federation) -> tuple[Message, Message, Any]:
    """A sent message, its honest reply and what the gate expects; made once."""
    if id(federation) not in HONEST:
        federation.rewind()
        reply = federation.train_replies()["ash"]
        sent = federation.strategy._sent[federation.sites.index("ash")]
        HONEST[id(federation)] = (sent.message, reply, sent.expected)
    return HONEST[id(federation)]  # type: ignore[no-any-return]


@SHARED
@given(data=st.data())
def test_arbitrary_bytes_in_an_array_are_refused(federation: Federation, data: st.DataObject) -> None:
    sent, honest, expected = setting(federation)
    update = dict(honest.content["update"])
    key = data.draw(st.sampled_from(sorted(update)))
    old = update[key]
    kind = data.draw(st.sampled_from(["any", "bytes", "flip"]))
    if kind == "any":
        update[key] = data.draw(arrays)
    elif kind == "bytes":
        update[key] = Array(old.dtype, old.shape, old.stype, data.draw(st.binary(max_size=300)))
    else:
        changed = bytearray(old.data)
        changed[data.draw(st.integers(0, min(len(changed), 128) - 1))] ^= data.draw(st.integers(1, 255))
        update[key] = Array(old.dtype, old.shape, old.stype, bytes(changed))
    reply = Message(
        RecordDict({"update": ArrayRecord(update), **{n: honest.content[n] for n in ("report", "stamp")}}),
        reply_to=sent,
    )
    verdict = gate(reply, expected)
    if isinstance(verdict, Accepted):  # a flipped space in a header is no harm
        assert kind == "flip"
        assert verdict.update[key].dtype == np.float32
        assert verdict.update[key].shape == expected.shapes[key]
        assert np.isfinite(verdict.update[key]).all()
    else:
        assert isinstance(verdict, Refused)


@SHARED
@given(data=st.data())
def test_an_arbitrary_report_never_raises_and_what_is_accepted_is_finite(
    federation: Federation, data: st.DataObject
) -> None:
    sent, honest, expected = setting(federation)
    report = dict(honest.content["report"])
    keys = st.one_of(
        st.sampled_from(sorted(report)), st.sampled_from(["rows.", "value.", "share.", "score.", "score.x", "loss."])
    )
    for key in data.draw(st.lists(keys, min_size=1, max_size=3)):
        report[key] = data.draw(values)
    records = {
        "update": honest.content["update"],
        "report": put(MetricRecord(), report),
        "stamp": honest.content["stamp"],
    }
    verdict = gate(Message(RecordDict(records), reply_to=sent), expected)
    if isinstance(verdict, Accepted):
        numbers = [n for by_subset in verdict.cells.values() for cell in by_subset.values() for n in cell]
        for table in (verdict.tally.values, verdict.tally.shares) if verdict.tally else ():
            numbers += [n for cell in table.cells.values() for n in cell]
        numbers += [*verdict.losses.values(), *verdict.seconds.values(), *verdict.rows.values()]
        assert all(math.isfinite(n) for n in numbers)
    else:
        assert isinstance(verdict, Refused)


@SHARED
@given(
    records=st.dictionaries(
        st.sampled_from(["update", "report", "stamp", "order", "x"]),
        st.one_of(
            st.dictionaries(st.text(max_size=4), values, max_size=3).map(lambda d: put(MetricRecord(), d)),
            st.dictionaries(st.sampled_from(["schema", "site", "round"]), values).map(lambda d: put(ConfigRecord(), d)),
            st.dictionaries(st.text(max_size=4), arrays, max_size=2).map(ArrayRecord),
        ),
        max_size=4,
    )
)
def test_arbitrary_records_are_refused(federation: Federation, records: dict[str, Any]) -> None:
    sent, _, expected = setting(federation)
    verdict = gate(Message(RecordDict(records), reply_to=sent), expected)
    assert isinstance(verdict, Refused)
    assert verdict.reason


def test_a_header_that_claims_a_terabyte_is_refused(federation: Federation) -> None:
    sent, honest, expected = setting(federation)
    update = dict(honest.content["update"])
    key = sorted(update)[0]
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x00" * 64
    update[key] = Array("float32", expected.shapes[key], "numpy.ndarray", data)
    records = {"update": ArrayRecord(update), **{n: honest.content[n] for n in ("report", "stamp")}}
    assert isinstance(gate(Message(RecordDict(records), reply_to=sent), expected), Refused)
