"""A column of texts: each text once, and a code per row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

NUMBER = re.compile(r"-?\d{1,18}(\.\d{0,18})?\Z", re.ASCII)


class Texts:
    """Cells of a column as texts.

    Attributes:
        values: each text once, as bytes in an Arrow array.
        codes: which of them stands in a row, -1 = empty, int32 ``(rows,)``.
        torn: codes of texts that are no UTF-8.
    """

    def __init__(self, column: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_large_binary(column.type):  # whole numbers, or nothing at all
            column = pc.cast(column, pa.large_string()).cast(pa.large_binary())
        encoded = pc.dictionary_encode(column)
        self.values = encoded.dictionary
        self.codes: npt.NDArray[np.int32] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        self.torn: tuple[int, ...] = ()
        try:
            self.values.cast(pa.large_string())
        except pa.ArrowInvalid:
            self.torn = tuple(code for code, value in enumerate(self.values.to_pylist()) if not _is_utf8(value))

    def text(self, code: int) -> str:
        """One of the texts; a byte that is no UTF-8 becomes an escape."""
        value: bytes = self.values[int(code)].as_py()
        return value.decode("utf-8", "backslashreplace")

    def blank(self) -> npt.NDArray[np.bool_]:
        """Per text, whether there is nothing but space in it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.torn:
            return np.array([not text.strip() for text in self.all()], dtype=np.bool_)
        texts = self.values.cast(pa.large_string())
        empty = pc.equal(pc.binary_length(texts), 0)
        found: npt.NDArray[np.bool_] = pc.or_(pc.utf8_is_space(texts), empty).to_numpy(zero_copy_only=False)
        return found

    def all(self) -> list[str]:
        """Every text once, in the order of codes."""
        return [value.decode("utf-8", "backslashreplace") for value in self.values.to_pylist()]


def is_number(text: str) -> bool:
    """Whether a text is a number in digits.

    >>> is_number("-3"), is_number("3.0"), is_number("3a"), is_number("")
    (True, True, False, False)
    """
    return NUMBER.match(text) is not None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
