"""Running sums over the values of one modality, window by window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 20  # entries squared at a time


@dataclass
class Tally:
    """What the value pass counts of the samples in use.

    Attributes:
        rows: samples seen.
        zero_rows: of them all zero.
        first_zero: names of the first of them.
        entries: finite entries.
        total: their sum.
        squares: sum of the squares of their distance to ``shift``.
        shift: mean of the first window, so that squares do not cancel.
        low: smallest entry.
        high: largest entry.
    """

    rows: int = 0
    zero_rows: int = 0
    first_zero: list[int] = field(default_factory=list)
    entries: int = 0
    total: float = 0.0
    squares: float = 0.0
    shift: float | None = None
    low: float = np.inf
    high: float = -np.inf

    def add(self, window: npt.NDArray[Any], names: npt.NDArray[np.int64], finite: npt.NDArray[np.bool_] | None) -> None:
        """Count samples.

        Args:
            window: ``(samples, entries)``.
            names: number of each, for messages.
            finite: mask of the entries to count, same shape; None = all.
        """
        self.rows += len(window)
        with np.errstate(invalid="ignore"):  # a flipped bit may make a NaN that signals
            zero = np.flatnonzero(~window.any(axis=1))
        self.zero_rows += len(zero)
        self.first_zero += names[zero[: 20 - len(self.first_zero)]].tolist()
        values = window.ravel() if finite is None else window[finite]
        for start in range(0, len(values), BLOCK):
            self._add(values[start : start + BLOCK])

    def _add(self, values: npt.NDArray[Any]) -> None:
        block = values.astype(np.float64)
        if self.shift is None:
            self.shift = float(block.mean())
        self.low, self.high = min(self.low, float(block.min())), max(self.high, float(block.max()))
        self.entries += len(block)
        block -= self.shift
        self.total += float(block.sum())
        self.squares += float(np.dot(block, block))

    @property
    def mean(self) -> float:
        """Mean of the entries; 0 without any."""
        return (self.shift or 0.0) + self.total / self.entries if self.entries else 0.0

    @property
    def sd(self) -> float:
        """Standard deviation of the entries; 0 without any."""
        if not self.entries:
            return 0.0
        return float(np.sqrt(max(0.0, self.squares / self.entries - (self.total / self.entries) ** 2)))
