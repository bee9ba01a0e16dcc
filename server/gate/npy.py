"""The bytes of one array, read without trust: no numpy reader, no evaluation of text, no pickle."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.flower_compat import Array, npy_header
from server.gate.stop import Stop
from server.gate.verdicts import shown

MAGIC, LONGEST_HEADER = b"\x93NUMPY", 4096
DTYPE, DESCRIPTION = "float32", "<f4"
# What numpy of any version writes; a structured type has a list in place of the first text and does not fit.
_TEXT = re.compile(
    rb"\{'descr': '([<>|=]?[A-Za-z][0-9]{0,6})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,12}(?:,|(?:, [0-9]{1,12}){1,31}))?)\), \}[ ]*\n?"
)


def read_array(key: str, array: Array, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The array as a read-only view of its bytes, C order, little-endian float32.

    Args:
        key: its name, for the refusal.
        array: from the record.
        shape: that is due.

    Raises:
        Stop: ``header``, ``dtype`` or ``shape``, where record, npy header or length are not what is due.
    """
    if array.stype != "numpy.ndarray" or type(array.data) is not bytes:
        raise Stop("header", f"{key} is serialised as {shown(array.stype)}; needed 'numpy.ndarray'")
    if array.dtype != DTYPE:
        raise Stop("dtype", f"{key} is {shown(array.dtype)}; needed {DTYPE}")
    if tuple(array.shape) != shape:
        raise Stop("shape", f"{key} is {_shape(array.shape)}; needed {shape}")
    ours = npy_header(DTYPE, shape)
    start = len(ours) if array.data.startswith(ours) else _start(key, array.data, shape)
    if len(array.data) - start != 4 * prod(shape):
        raise Stop("header", f"{key} has {len(array.data) - start} bytes of values; needed {4 * prod(shape)}")
    found: npt.NDArray[np.float32] = np.frombuffer(array.data, np.float32, offset=start).reshape(shape)
    return found


def _start(key: str, data: bytes, shape: tuple[int, ...]) -> int:
    """Where the values begin, behind a header that is not byte for byte ours."""
    lengths = {b"\x01\x00": 2, b"\x02\x00": 4}
    if not data.startswith(MAGIC) or data[6:8] not in lengths:
        raise Stop("header", f"{key} does not begin as npy version 1 or 2")
    begin = 8 + lengths[data[6:8]]
    length = int.from_bytes(data[8:begin], "little")
    if length > LONGEST_HEADER or begin + length > len(data):
        raise Stop("header", f"{key} says that its header has {length} bytes; allowed {LONGEST_HEADER}")
    text = _TEXT.fullmatch(data, begin, begin + length)
    if text is None:
        raise Stop("header", f"{key} has a header that numpy does not write")
    description, fortran, axes = (part.decode("ascii") for part in text.groups())
    if description != DESCRIPTION:
        raise Stop("dtype", f"{key} holds {description!r}; needed {DESCRIPTION!r}")
    if fortran == "True":
        raise Stop("header", f"{key} is in Fortran order; needed C order")
    found = tuple(int(axis) for axis in re.findall(r"[0-9]+", axes))
    if found != shape:
        raise Stop("shape", f"{key} holds {_shape(found)}; needed {shape}")
    return begin + length


def _shape(shape: Any) -> str:
    return f"({', '.join(map(shown, shape))})" if len(shape) <= 8 else f"{len(shape)} axes"
