"""A message in few parts says what it said in many, and what is no parcel is refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Error
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from fedmce.flower_compat import (
    UNREADABLE,
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    identity,
    with_content,
)
from fedmce.parcel import BODY, LARGE, LARGEST, MOST, PARCEL, is_parcel, packed, unpacked
from tests.wire.test_packing import RECORDS, made, tree


def sent(content: RecordDict) -> Message:
    with identity(7):
        return Message(content, 5, "train", ttl=10.0, group_id="3")


def of_bytes(*sizes: int) -> ArrayRecord:
    return ArrayRecord(
        {f"a{n}": Array("uint8", (s,), "numpy.ndarray", bytes([n % 256]) * s) for n, s in enumerate(sizes)}
    )


def parts(message: Message) -> int:
    return len(get_all_nested_objects(message))


@pytest.mark.parametrize(
    "arrays",
    [
        (),
        (1, 2, 3),
        (LARGEST, LARGEST + 1, 0, LARGEST + 2, 7),
        (LARGEST + 1,),
        (LARGEST,) * (MOST // LARGEST + 3),
    ],
    ids=["none", "small", "mixed", "large", "many"],
)
def test_content_and_envelope_come_back_bit_by_bit(arrays: tuple[int, ...]) -> None:
    message = sent(RecordDict({**RECORDS, "sized": of_bytes(*arrays), "last": of_bytes(9, LARGEST + 3)}))
    before = tree(message.content)
    parcel = packed(message)
    back = unpacked(parcel)
    assert is_parcel(parcel)
    assert not is_parcel(message)
    assert tree(message.content) == before == tree(back.content)
    assert [type(record) for record in back.content.values()] == [type(record) for record in message.content.values()]
    assert vars(back.metadata) == vars(parcel.metadata) == vars(message.metadata)


def test_forty_small_arrays_are_three_objects_of_flower() -> None:
    message = sent(RecordDict({"model": array_record({f"a{n}": np.full(9, n, np.float32) for n in range(40)})}))
    assert parts(message) > 80
    assert parts(packed(message)) == 3


def test_a_large_array_is_the_same_object_for_every_site() -> None:
    """Flower keeps an object once, whoever it is for."""
    model = {"large": np.ones(LARGEST, np.float32), "small": np.ones(3, np.float32)}
    one, other = (
        packed(sent(RecordDict({"model": array_record(model), "order": ConfigRecord({"site": site})})))
        for site in ("ash", "elm")
    )
    shared = get_all_nested_objects(one).keys() & get_all_nested_objects(other).keys()
    assert len(shared) == 3  # the record of large arrays, the array, its data


def test_an_error_and_what_is_no_parcel_stay_as_they_are() -> None:
    message, _ = made()
    error = Message(Error(1003, "data_unavailable"), reply_to=message)
    assert packed(error) is error
    assert unpacked(error) is error
    assert unpacked(message) is message


def body(content: RecordDict) -> bytes:
    found = packed(sent(content)).content.config_records[PARCEL][BODY]
    assert isinstance(found, bytes)
    return found


WITH_LARGE = packed(sent(RecordDict({"model": of_bytes(LARGEST + 1)}))).content
BAD: dict[str, dict[str, Any]] = {
    "no body": {PARCEL: ConfigRecord({})},
    "a body of text": {PARCEL: ConfigRecord({BODY: "text"})},
    "other bytes": {PARCEL: ConfigRecord({BODY: b"\x01"})},
    "bytes that claim to be many": {PARCEL: ConfigRecord({BODY: b"\xff" * 64})},
    "cut": {PARCEL: ConfigRecord({BODY: body(RECORDS)[:-3]})},
    "a record beside it": {**WITH_LARGE, "more": MetricRecord({"n": 1})},
    "a large array missing": {PARCEL: WITH_LARGE[PARCEL]},
    "a large array too much": {PARCEL: ConfigRecord({BODY: body(RECORDS)}), LARGE: of_bytes(5)},
    "large arrays under other names": {PARCEL: WITH_LARGE[PARCEL], LARGE: ArrayRecord({"x": of_bytes(5)["a0"]})},
    "large arrays of another kind": {PARCEL: WITH_LARGE[PARCEL], LARGE: MetricRecord({"0": 1})},
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_parcel_is_refused_with_an_error_that_the_server_expects(what: str) -> None:
    message = with_content(made()[0], RecordDict(BAD[what]))
    with pytest.raises(UNREADABLE):
        unpacked(message)
