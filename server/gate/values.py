"""The numbers of an update: finite, within the limit, and how far they moved, in windows that fit a cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.aggregation.server_optimiser import is_parameter
from server.gate.stop import Stop

WINDOW = 1 << 18  # entries; a copy of a whole array in float64 would take most of the time and twice its memory

Floats = npt.NDArray[np.float32]
Mark = tuple[float, float, float]


@dataclass
class Change:
    """How far a component moved.

    Attributes:
        norm: length of the change of its parameters; running statistics, which count batches, are left out.
        marks: per array its change's sum of squares, least and largest value: equal bytes have equal ones.
    """

    norm: float
    marks: tuple[Mark, ...]

    @property
    def is_none(self) -> bool:
        """Not a single value is another than was sent."""
        return not any(square for square, _, _ in self.marks)


def change(marks: Mapping[str, Mark]) -> Change:
    """The change of one component from its arrays."""
    squares = [square for key, (square, _, _) in marks.items() if is_parameter(key)]
    return Change(float(np.sqrt(sum(squares))), tuple(marks.values()))


class Scratch:
    """Room for the difference of one window; made once per reply."""

    def __init__(self) -> None:
        self._single, self._double = np.empty(0, np.float32), np.empty(0, np.float64)

    def square(self, value: Floats, base: Floats) -> float:
        """Sum of squares of ``value - base``, added in float64; both flat and no longer than a window."""
        if value.size > self._single.size:
            self._single, self._double = np.empty(value.size, np.float32), np.empty(value.size, np.float64)
        apart, exact = self._single[: value.size], self._double[: value.size]
        np.subtract(value, base, out=apart)  # exact enough: 0 only where both are equal
        exact[:] = apart
        return float(exact @ exact)


def examine(key: str, value: Floats, base: Floats | None, limit: float, scratch: Scratch) -> Mark:
    """Look at one array.

    Args:
        key: its name, for the refusal.
        value: contiguous.
        base: what was sent, of the same shape; None where there is none, which counts as moved.
        limit: largest absolute value.
        scratch: of this reply.

    Raises:
        Stop: ``nonfinite`` or ``magnitude``.
    """
    flat, start = value.reshape(-1), None if base is None else np.ascontiguousarray(base).reshape(-1)
    square, least, most = 0.0 if base is not None else float("inf"), 0.0, 0.0
    for at in range(0, flat.size, WINDOW):
        window = flat[at : at + WINDOW]
        low, high = float(window.min()), float(window.max())
        if not (-limit <= low and high <= limit):  # also what NaN fails
            raise _out_of_range(key, window, limit)
        least, most = min(least, low), max(most, high)
        if start is not None:
            square += scratch.square(window, start[at : at + WINDOW])
    return square, least, most


def _out_of_range(key: str, window: Floats, limit: float) -> Stop:
    component = key.partition("/")[0]
    if not np.isfinite(window).all():
        return Stop("nonfinite", f"{key} holds NaN or infinity", component)
    largest = float(np.abs(window).max())
    return Stop("magnitude", f"{key} reaches {largest:.3g}; the limit is {limit:g}", component)
