"""The natural order of sample ids: text as text, numbers by their value."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_DIGITS = re.compile(r"([0-9]+)")


def id_key(sample_id: str) -> tuple[tuple[int, int, str], ...]:
    """A key under which ``a2`` comes before ``a10``.

    >>> sorted(["a10", "a2", "a"], key=id_key)
    ['a', 'a2', 'a10']
    """
    parts = _DIGITS.split(sample_id)
    return tuple((1, int(part), "") if at % 2 else (0, 0, part) for at, part in enumerate(parts) if part)


def in_order(sample_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Numbers of the rows in natural order of their ids, int64 ``(rows,)``."""
    return np.array(sorted(range(len(sample_ids)), key=lambda row: id_key(sample_ids[row])), dtype=np.int64)
