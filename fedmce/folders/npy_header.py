"""The header of an ``.npy`` file, read without numpy's loader.

``np.load`` takes without a word what a folder may not hold: a file that is too long, Fortran order, big-endian
numbers, structured types, no rows. Format: NEP 1, "A simple file format for NumPy arrays".
"""

from __future__ import annotations

import ast
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
DESCR = re.compile(r"([<>|=])([a-zA-Z])(\d{1,5})\Z")
NAMES = {"f2": "float16", "f4": "float32", "f8": "float64", "u1": "uint8", "i2": "int16", "i4": "int32"}


class NpyError(Exception):
    """A file that is no array of the allowed kind.

    Attributes:
        case: D37, D38, D39 or D41.
        given: what is there.
        allowed: what may be there.
        fix: what to do.
    """

    def __init__(self, case: str, given: str, allowed: str, fix: str) -> None:
        super().__init__(f"{case} {given}")
        self.case, self.given, self.allowed, self.fix = case, given, allowed, fix


@dataclass(frozen=True)
class NpyHeader:
    """An array in a file: C order, little-endian, of one of :data:`NAMES`, and as long as the file.

    Attributes:
        dtype: numpy's name of it.
        shape: with the row axis first.
        start: byte at which the values begin.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * size_of(self.dtype)


def size_of(dtype: str) -> int:
    """Bytes of one entry of a dtype in :data:`NAMES`."""
    return int(next(code for code, name in NAMES.items() if name == dtype)[1:])


def read_npy_header(path: Path) -> NpyHeader:
    """Read and check the header, and compare the file's size with it.

    Raises:
        NpyError: no array of the allowed kind.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        fields, start = _fields(file)
        size = os.fstat(file.fileno()).st_size
    shape, dtype = _shape(fields), _dtype(fields)
    if fields["fortran_order"]:
        raise NpyError("D38", "Fortran order", "C order", "np.save(path, np.ascontiguousarray(array))")
    if not shape or 0 in shape:
        fix = "export it again; an array that no sample points at is left out of the folder"
        raise NpyError("D41", f"shape {shape}", "at least one row, no axis of size 0", fix)
    needed = start + math.prod(shape) * size_of(dtype)
    if size != needed:
        given, allowed = f"{size:,} bytes", f"{needed:,} bytes, as its header says ({dtype} {shape})"
        raise NpyError("D39", given, allowed, "copy it again from the source")
    return NpyHeader(dtype, shape, start)


def _no_npy(given: str) -> NpyError:
    allowed = f"npy format 1 or 2, one of {', '.join(NAMES.values())}"
    return NpyError("D37", given, allowed, "np.save(path, array, allow_pickle=False)")


def _fields(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The three fields of the header, and where the values begin."""
    start = file.read(12)
    if not start.startswith(MAGIC):
        kind = "a pickle" if start.startswith((b"\x80\x03", b"\x80\x04", b"\x80\x05")) else "no npy file"
        raise _no_npy(kind if start else "an empty file")
    version = tuple(start[6:8])
    if version not in ((1, 0), (2, 0)):
        raise _no_npy(f"npy format {'.'.join(map(str, version))}")
    wide = 2 if version == (1, 0) else 4
    length = int.from_bytes(start[8 : 8 + wide], "little")
    if length > LONGEST_HEADER:
        raise _no_npy(f"a header of {length:,} bytes")
    file.seek(8 + wide)
    raw = file.read(length)
    if len(raw) < length:
        raise NpyError("D39", "the file ends within its header", f"{length} bytes of header", "copy it again")
    return _literal(raw), 8 + wide + length


def _literal(raw: bytes) -> dict[str, Any]:
    text = raw.decode("latin-1")
    if sum(map(text.count, "([{")) > 100:  # a structured type of many fields; deep ones would take the parser's stack
        raise _no_npy("a header with many brackets")
    try:
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise _no_npy("a header that is no dictionary") from None
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise _no_npy("a header without descr, fortran_order and shape alone")
    return fields


def _shape(fields: dict[str, Any]) -> tuple[int, ...]:
    shape = fields["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise _no_npy("a header whose shape is no tuple of sizes")
    if not isinstance(fields["fortran_order"], bool):
        raise _no_npy("a header whose fortran_order is neither True nor False")
    return shape


def _dtype(fields: dict[str, Any]) -> str:
    descr = fields["descr"]
    if isinstance(descr, list):
        raise _no_npy("a structured type")
    match = DESCR.match(descr) if isinstance(descr, str) else None
    if match is None:
        raise _no_npy("a type that numpy does not write")
    order, letter, size = match.groups()
    if letter == "O":
        raise _no_npy("pickled objects")
    if letter + size not in NAMES:
        raise _no_npy(f"type {descr}")
    if order == ">":
        raise NpyError("D38", "big-endian numbers", "little-endian", f'array.astype("<{letter}{size}")')
    return NAMES[letter + size]
