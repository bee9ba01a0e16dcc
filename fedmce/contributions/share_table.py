"""Share table: sums of what every row says of a modality's contribution, so that errors can be stated.

Every index is linear in a row's values, so a row has contributions phi_im of its own; their mean over
rows is the pooled contribution and their spread its standard error. For more modalities than all
subsets can be predicted for, the rows' phi are unbiased estimates and this table is all there is.

Rows play with v(nothing) = 0; whoever knows v(nothing) takes its weight off (:meth:`ShareTable.moments`),
so a site needs no number of the other sites. Keyed by modality and by how many modalities the row holds:
a contribution is the smaller the more modalities share the gain, so only equal sizes compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import numpy.typing as npt

from fedmce.contributions.exact import empty_weight

COLUMNS = ("modality", "size", "total", "square", "rows")
Key = tuple[int, int]


@dataclass
class ShareTable:
    """Sums over rows of phi, of phi squared, and row counts per (modality, modalities held).

    Attributes:
        index: shapley, banzhaf or leave_one_out.
        cells: (modality bit, size) -> [sum of phi, sum of phi squared, rows], with v(nothing) = 0.
    """

    index: str = "shapley"
    cells: dict[Key, list[float]] = field(default_factory=dict)

    def add(self, held: npt.NDArray[np.int64], phi: npt.NDArray[np.float64]) -> None:
        """Add rows that hold equally many modalities.

        Args:
            held: bits of the modalities, ``(rows, size)``.
            phi: contribution of each of them with v(nothing) = 0, ``(rows, size)``.
        """
        rows, size = held.shape
        if not rows or not size:
            return
        bits, flat = held.ravel(), phi.ravel()
        counts = np.bincount(bits)
        sums, squares = np.bincount(bits, flat), np.bincount(bits, flat**2)
        for bit in np.flatnonzero(counts).tolist():
            cell = self.cells.setdefault((bit, size), [0.0, 0.0, 0.0])
            for place, number in enumerate((sums[bit], squares[bit], counts[bit])):
                cell[place] += float(number)

    def __add__(self, other: ShareTable) -> ShareTable:
        if self.index != other.index:
            raise ValueError(f"share table: {self.index} and {other.index} cannot be added")
        both = ShareTable(self.index, {key: list(cell) for key, cell in self.cells.items()})
        for key, cell in other.cells.items():
            mine = both.cells.setdefault(key, [0.0, 0.0, 0.0])
            for place, number in enumerate(cell):
                mine[place] += number
        return both

    def rows(self, bit: int) -> int:
        """Rows that hold the modality."""
        return int(sum(cell[2] for (m, _), cell in self.cells.items() if m == bit))

    def moments(self, key: Key, empty_value: float) -> tuple[float, float, float]:
        """Sum of phi, sum of its square and rows of one cell, for this v(nothing)."""
        total, square, rows = self.cells[key]
        shift = empty_value * empty_weight(self.index, key[1])
        return total - rows * shift, square - 2 * shift * total + rows * shift**2, rows

    def pooled(self, bit: int, empty_value: float) -> tuple[float, float, float]:
        """Sum of phi, sum of its square and rows over all sizes."""
        found = [self.moments(key, empty_value) for key in sorted(self.cells) if key[0] == bit]
        return sum(f[0] for f in found), sum(f[1] for f in found), sum(f[2] for f in found)

    def means(self, modalities: Sequence[str], empty_value: float) -> dict[str, float | None]:
        """Mean contribution over the rows that hold the modality; None where nobody does."""
        found: dict[str, float | None] = {}
        for bit, name in enumerate(modalities):
            total, _, rows = self.pooled(bit, empty_value)
            found[name] = total / rows if rows else None
        return found

    def standard_errors(self, modalities: Sequence[str], empty_value: float) -> dict[str, float | None]:
        """Standard error of :meth:`means`; None with fewer than two rows.

        Rows are taken as independent draws, the model as fixed. Within a row nothing is assumed: its
        subsets share the row, which is in the spread of phi_im, and so is the noise of a sampled estimate.
        """
        found: dict[str, float | None] = {}
        for bit, name in enumerate(modalities):
            total, square, rows = self.pooled(bit, empty_value)
            # Rounding may leave a constant a hair below zero.
            found[name] = sqrt(max(square - total**2 / rows, 0.0) / (rows - 1) / rows) if rows > 1 else None
        return found

    def to_columns(self) -> dict[str, list[int] | list[float]]:
        """Columns ``modality, size, total, square, rows`` sorted by key: the form that travels."""
        keys = sorted(self.cells)
        return {
            "modality": [bit for bit, _ in keys],
            "size": [size for _, size in keys],
            "total": [self.cells[k][0] for k in keys],
            "square": [self.cells[k][1] for k in keys],
            "rows": [int(self.cells[k][2]) for k in keys],
        }

    @classmethod
    def from_columns(cls, index: str, columns: Mapping[str, Sequence[int] | Sequence[float]]) -> ShareTable:
        """Inverse of :meth:`to_columns`."""
        rows = zip(*(columns[name] for name in COLUMNS), strict=True)
        return cls(index, {(int(m), int(k)): [float(t), float(q), float(n)] for m, k, t, q, n in rows})


def size_counts(available: npt.NDArray[np.bool_]) -> dict[Key, int]:
    """Rows per (modality bit, modalities that the row holds): what a site tells of its rows beside patterns.

    Args:
        available: bool ``(rows, modalities)``.
    """
    row, bit = np.nonzero(available)
    pairs, counts = np.unique(np.stack([bit, available.sum(axis=1)[row]]), axis=1, return_counts=True)
    return {(int(b), int(k)): int(n) for b, k, n in zip(*pairs, counts, strict=True)}
