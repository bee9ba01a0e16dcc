"""A message in few parts, however many arrays it has.

Flower keeps every array of a message as objects of their own and makes a call for each on each of four hops (server,
SuperLink, SuperNode, ClientApp), a few milliseconds apiece, and waits a second or more for one that is not there yet.
A model of 40 small arrays takes longer on its way than in training. So small arrays travel together with all names
and numbers in one object; large ones stay by themselves, for Flower keeps what many sites are sent only once.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedmce.flower_compat import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    pack_records,
    unpack_records,
    with_content,
)

PARCEL, LARGE = "fedmce.parcel", "fedmce.large"
BODY = "body"
LARGEST, MOST = 64 * 1024, 2 * 1024 * 1024  # bytes of an array in the parcel, and of all of them


def packed(message: Message) -> Message:
    """The same message with a parcel as its content; an error stays as it is."""
    if not message.has_content():
        return message
    own = list[Array]()
    records: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {}
    records[PARCEL] = ConfigRecord({BODY: pack_records(_lightened(message.content, own))})
    if own:
        records[LARGE] = ArrayRecord({str(place): array for place, array in enumerate(own)})
    return with_content(message, RecordDict(records))


def is_parcel(message: Message) -> bool:
    """Whether the content is a parcel."""
    return message.has_content() and PARCEL in message.content.config_records


def unpacked(message: Message) -> Message:
    """Inverse of :func:`packed`; a message that is no parcel stays as it is.

    Raises:
        ValueError: not what :func:`packed` makes; what else bytes of a stranger provoke is in
            :data:`fedmce.flower_compat.UNREADABLE`.
    """
    if not is_parcel(message):
        return message
    content = message.content
    if set(content) - {PARCEL, LARGE}:
        raise ValueError(f"parcel: {len(content)} records; needed no other than {PARCEL} and {LARGE}")
    body = content.config_records[PARCEL][BODY]
    if not isinstance(body, bytes):
        raise ValueError(f"parcel: its body is a {type(body).__name__}; needed bytes")
    records = unpack_records(body)
    large = content.array_records[LARGE] if LARGE in content else ArrayRecord()
    _fill(records, iter(large[str(place)] for place in range(len(large))))
    return with_content(message, records)


def _lightened(content: RecordDict, own: list[Array]) -> RecordDict:
    """The records with a mark in place of every large array, which is added to ``own``."""
    found, total = RecordDict(), 0
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            light: dict[str, Array] = {}
            for key, array in record.items():
                if len(array.data) > min(LARGEST, MOST - total):
                    own.append(array)
                    light[key] = Array(array.dtype, array.shape, LARGE, b"")
                else:
                    total += len(array.data)
                    light[key] = array
            record = ArrayRecord(light)
        found[name] = record
    return found


def _fill(records: RecordDict, large: Iterator[Array]) -> None:
    """Put large arrays where their marks are."""
    for record in records.array_records.values():
        for key, array in record.items():
            if array.stype == LARGE:
                if (own := next(large, None)) is None:
                    raise ValueError("parcel: a large array is missing")
                record[key] = own
    if next(large, None) is not None:
        raise ValueError("parcel: a large array too much")
