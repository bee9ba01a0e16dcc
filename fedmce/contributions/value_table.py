"""Value table: sums of the value of every subset, by what the rows hold (method.md 3).

Keyed by availability pattern and subset, so every value of one game is measured on the same rows: a
rare pair is not worth less because it is rare. Tables add up over batches, sites and rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedmce.subsets import subsets_of


@dataclass
class ValueTable:
    """Sums of values, of their squares and row counts per (pattern, subset).

    Every index of every pattern follows from it exactly. Their standard errors do not, since the values of
    one row's subsets depend on each other: a :class:`ShareTable` of the same rows holds those.

    Attributes:
        modalities: number of modalities M.
        cells: (pattern code, subset code) -> [sum of v, sum of v squared, rows].
    """

    modalities: int
    cells: dict[tuple[int, int], list[float]] = field(default_factory=dict)

    def add(
        self, pattern: npt.NDArray[np.int64], subset: npt.NDArray[np.int64], value: npt.NDArray[np.float64]
    ) -> None:
        """Add one value per (row, subset) pair; all three arrays are ``(pairs,)``."""
        # Patterns are numbered first, so that the key fits 64 bits for as many modalities as subsets do.
        patterns, which = np.unique(pattern, return_inverse=True)
        keys, cell = np.unique((which << self.modalities) | subset, return_inverse=True)
        sums = [np.bincount(cell, weights, len(keys)) for weights in (value, value**2, None)]
        for place, key in enumerate(keys.tolist()):
            code = (int(patterns[key >> self.modalities]), key & ((1 << self.modalities) - 1))
            mine = self.cells.setdefault(code, [0.0, 0.0, 0.0])
            for part, column in enumerate(sums):
                mine[part] += float(column[place])

    def __add__(self, other: ValueTable) -> ValueTable:
        if self.modalities != other.modalities:
            raise ValueError(f"value table: {self.modalities} and {other.modalities} modalities cannot be added")
        both = ValueTable(self.modalities, {key: list(cell) for key, cell in self.cells.items()})
        for key, cell in other.cells.items():
            mine = both.cells.setdefault(key, [0.0, 0.0, 0.0])
            for i, number in enumerate(cell):
                mine[i] += number
        return both

    def patterns(self) -> dict[int, int]:
        """Row count per pattern, in code order."""
        return {e: int(cell[2]) for (e, s), cell in sorted(self.cells.items()) if e == s}

    def game(self, pattern: int, empty_value: float) -> dict[int, float] | None:
        """Mean value of every subset of a pattern, the empty one included; None if one is missing."""
        values = {0: empty_value}
        for subset in subsets_of(pattern):
            cell = self.cells.get((pattern, subset))
            if cell is None or cell[2] <= 0:
                return None
            values[subset] = cell[0] / cell[2]
        return values

    def to_columns(self) -> dict[str, list[int] | list[float]]:
        """Columns ``pattern, subset, total, square, rows`` sorted by key: the form that travels."""
        keys = sorted(self.cells)
        return {
            "pattern": [e for e, _ in keys],
            "subset": [s for _, s in keys],
            "total": [self.cells[k][0] for k in keys],
            "square": [self.cells[k][1] for k in keys],
            "rows": [int(self.cells[k][2]) for k in keys],
        }

    @classmethod
    def from_columns(cls, modalities: int, columns: Mapping[str, Sequence[int] | Sequence[float]]) -> ValueTable:
        """Inverse of :meth:`to_columns`."""
        rows = zip(*(columns[name] for name in ("pattern", "subset", "total", "square", "rows")), strict=True)
        return cls(modalities, {(int(e), int(s)): [float(t), float(q), float(n)] for e, s, t, q, n in rows})


def pooled(tables: Mapping[str, ValueTable], modalities: int) -> ValueTable:
    """Sum of the sites' tables, in order of site names."""
    whole = ValueTable(modalities)
    for site in sorted(tables):
        whole = whole + tables[site]
    return whole
