"""The numbers of an update: finite, within the limit, and how far they moved, in windows that fit a cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.aggregation import is_parameter
from fedmce.models import component_of
from server.gate.stop import Stop

WINDOW = 1 << 18  # entries; a copy of a whole array in float64 would take most of the time and twice its memory

Floats = npt.NDArray[np.float32]
Mark = tuple[float, float, float]


SMALL = 1 << 12  # entries; smaller arrays of a component are looked at together


@dataclass(frozen=True)
class Change:
    """How far a component moved.

    Attributes:
        norm: length of the change of its parameters; running statistics, which count batches, are left out.
        marks: sum of squares of the change, least and largest value, of parts of it: equal bytes have equal ones.
    """

    norm: float
    marks: tuple[Mark, ...]

    @property
    def is_none(self) -> bool:
        """Not a single value is another than was sent."""
        return not any(square for square, _, _ in self.marks)


class Looker:
    """Looks at the values of one reply.

    Args:
        limit: largest absolute value.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._single, self._double = np.empty(0, np.float32), np.empty(0, np.float64)

    def change(self, values: Mapping[str, Floats], sent: Mapping[str, Floats]) -> Change:
        """The change of one component.

        Args:
            values: its arrays.
            sent: what the site was sent, of equal shapes; an array that is not there counts as moved.

        Raises:
            Stop: ``nonfinite`` or ``magnitude``.
        """
        marks: list[Mark] = []
        squares = 0.0
        for is_weight in (True, False):
            named = {key: value for key, value in values.items() if is_parameter(key) == is_weight}
            found = [self.look(keys, values, sent) for keys in _together(named)]
            squares += sum(mark[0] for mark in found) if is_weight else 0.0
            marks += found
        return Change(float(np.sqrt(squares)), tuple(marks))

    def look(self, keys: Sequence[str], values: Mapping[str, Floats], sent: Mapping[str, Floats]) -> Mark:
        """One large array, or several small ones as if they were one."""
        flat = _joined([values[key] for key in keys])
        known = all(key in sent for key in keys)
        start = _joined([np.asarray(sent[key]) for key in keys]) if known else None
        square, least, most = 0.0 if known else float("inf"), 0.0, 0.0
        for at in range(0, flat.size, WINDOW):
            window = flat[at : at + WINDOW]
            low, high = float(window.min()), float(window.max())
            if not (-self._limit <= low and high <= self._limit):  # also what NaN fails
                raise self._out_of_range(keys, values)
            least, most = min(least, low), max(most, high)
            if start is not None:
                square += self._square(window, start[at : at + WINDOW])
        return square, least, most

    def _square(self, value: Floats, base: Floats) -> float:
        """Sum of squares of ``value - base``, added in float64; both flat and no longer than a window."""
        if value.size > self._single.size:
            self._single, self._double = np.empty(value.size, np.float32), np.empty(value.size, np.float64)
        apart, exact = self._single[: value.size], self._double[: value.size]
        np.subtract(value, base, out=apart)  # exact enough: 0 only where both are equal
        exact[:] = apart
        return float(exact @ exact)

    def _out_of_range(self, keys: Sequence[str], values: Mapping[str, Floats]) -> Stop:
        for key in keys:
            if not np.isfinite(values[key]).all():
                return Stop("nonfinite", f"{key} holds NaN or infinity", component_of(key))
        largest = {key: float(np.abs(values[key]).max(initial=0.0)) for key in keys}
        key = max(keys, key=largest.__getitem__)
        return Stop("magnitude", f"{key} reaches {largest[key]:.3g}; the limit is {self._limit:g}", component_of(key))


def _together(values: Mapping[str, Floats]) -> list[list[str]]:
    """Keys of large arrays by themselves, of small ones in one list."""
    small = [key for key, value in values.items() if value.size <= SMALL]
    return [[key] for key, value in values.items() if value.size > SMALL] + ([small] if small else [])


def _joined(arrays: Sequence[Floats]) -> Floats:
    """One after the other, flat; a single one is not copied."""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0]).reshape(-1)
    return np.concatenate([array.reshape(-1) for array in arrays])
