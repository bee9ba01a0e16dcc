"""How large a reply says that it is, against how large it may be; nothing is read for it."""

from __future__ import annotations

import sys
from collections.abc import Collection
from math import prod

from fedmce.contributions import is_exact
from fedmce.flower_compat import Array, ArrayRecord, RecordDict
from fedmce.subsets import PANEL
from fedmce.wire import STATISTICS
from server.gate.expectation import Expectation, Shape

SLACK, FREE = 1.05, 64 * 1024
HEADER, NUMBER, NAME = 128, 8, 64


def most_bytes(expected: Expectation) -> int:
    """Largest size of a reply: that of an honest one, a twentieth more, and 64 KiB for stamp and small numbers."""
    arrays = dict(expected.shapes) if expected.train else {}
    arrays |= {f"told {key}": shape for key, shape in expected.told.items()}
    honest = sum(_array_bytes(key, shape) for key, shape in arrays.items())
    honest += len(expected.most_rows) * (NAME + NUMBER)
    scored = min((1 << min(expected.modalities, 16)) - 1, max(PANEL, 256))
    honest += len(expected.most_scored) * 3 * (NAME + scored * NUMBER)
    if expected.contributions is not None and expected.measured is not None:
        rows = len(expected.measured.sizes)
        if is_exact(expected.contributions, expected.modalities):
            rows += sum(1 << pattern.bit_count() for pattern in expected.measured.patterns or ())
        honest += 5 * rows * NUMBER
    honest += NUMBER * expected.due.most_numbers if expected.due is not None else 0
    return int(SLACK * honest) + FREE


def _array_bytes(key: str, shape: Shape) -> int:
    return len(key) + HEADER + 4 * prod(shape)


def declared_bytes(content: RecordDict, most: int) -> int:
    """Bytes of names and values; counting stops beyond ``most``, so that a large reply costs no more than that."""
    total = 0
    for name, record in content.items():
        total += len(name)
        for key, value in record.items():
            total += len(key) + value_bytes(value, most)
            if total > most:
                return total
    return total


def value_bytes(value: object, most: int) -> int:
    """Bytes of a value of a record: arrays as sent, 8 per number, texts as UTF-8.

    A list of more texts than ``most`` is not read.
    """
    if isinstance(value, Array):
        return len(value.data)
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, bytes):
        return len(value)
    if not isinstance(value, list):
        return NUMBER
    if value and isinstance(value[0], str | bytes) and len(value) <= most:
        return sum(value_bytes(item, most) for item in value)
    return NUMBER * len(value)


def content_bytes(content: RecordDict) -> int:
    """Bytes of values without names, as the record of a run counts them."""
    return sum(value_bytes(value, sys.maxsize) for record in content.values() for value in record.values())


def bytes_by_component(content: RecordDict, known: Collection[str] | None = None) -> dict[str, int]:
    """Array bytes per component; statistics count for the component that needs them, the encoder.

    Args:
        content: of a message.
        known: names that may appear, for a reply whose names are not ours; what has another counts as ``other``.
    """
    found: dict[str, int] = {}
    for name, record in content.items():
        if not isinstance(record, ArrayRecord):
            continue
        for key, array in record.items():
            part = key.partition("/")[0]
            component = f"encoder.{part}" if name == STATISTICS else part
            if known is not None and component not in known:
                component = "other"
            found[component] = found.get(component, 0) + len(array.data)
    return found
