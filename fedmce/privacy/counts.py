"""How many rows a site has, as it may tell it: rounded down, small patterns merged, nothing to subtract.

Every number is a count of at least ``k_min`` rows in steps of ``count_step``, or a sum of such counts. Totals are made
of the told parts and not rounded by themselves: else the difference of a total and its parts would tell a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.config.privacy import PrivacyConfig
from fedmce.contributions import size_counts
from fedmce.models import modality_of
from fedmce.subsets import pattern_codes

Available = npt.NDArray[np.bool_]


def rounded(count: int, floors: PrivacyConfig) -> int:
    """A count as it may be told: down to a multiple of ``count_step``, 0 if that is below ``k_min``."""
    down = count // floors.count_step * floors.count_step
    return down if down >= floors.k_min else 0


def told_modalities(available: Available, floors: PrivacyConfig) -> npt.NDArray[np.bool_]:
    """Modalities that a site says it has: those with enough rows to be counted, bool ``(modalities,)``.

    Args:
        available: bool ``(rows, modalities)``.
        floors: of the site.
    """
    return np.array([rounded(int(n), floors) > 0 for n in available.sum(axis=0)], dtype=np.bool_)


@dataclass(frozen=True)
class Cohort:
    """Rows by what they hold, as told.

    Attributes:
        patterns: rows per availability pattern (code); None where sites do not tell them.
        sizes: rows per (modality bit, modalities that the row holds), of the told patterns.
        other: rows of all patterns that are too small to be told, if together they are not; else 0.
        other_by_modality: of these, rows that hold each modality.
        total: rows, where patterns are not told.
    """

    patterns: dict[int, int] | None
    sizes: dict[tuple[int, int], int]
    other: int
    other_by_modality: tuple[int, ...]
    total: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return self.total if self.patterns is None else sum(self.patterns.values()) + self.other

    @property
    def rows_by_modality(self) -> tuple[int, ...]:
        """Rows that hold each modality."""
        told = [0] * len(self.other_by_modality)
        for (bit, _), count in self.sizes.items():
            told[bit] += count
        return tuple(a + b for a, b in zip(told, self.other_by_modality, strict=True))

    def rows_of(self, component: str, names: Sequence[str], *, whole_model: bool = False) -> int:
        """Most rows that can have trained a component, as the server reckons them from the same numbers."""
        modality = modality_of(component)
        if modality is None or whole_model:
            return self.rows
        bit = list(names).index(modality)
        alone = self.sizes.get((bit, 1), 0) if component.startswith("completion.") else 0
        return self.rows_by_modality[bit] - alone


def cohort(available: Available, floors: PrivacyConfig, *, tells_patterns: bool) -> Cohort:
    """Count rows.

    Args:
        available: bool ``(rows, modalities)``; every row holds something.
        floors: of the site.
        tells_patterns: the run tells counts per pattern, and not only per modality and number of modalities.
    """
    small = _small_rows(available, floors, tells_patterns=tells_patterns)
    other = tuple(rounded(int(n), floors) for n in small.sum(axis=0))
    if not tells_patterns:
        sizes = {key: told for key, n in sorted(size_counts(available).items()) if (told := rounded(n, floors))}
        return Cohort(None, sizes, 0, other, rounded(len(available), floors))
    codes, counts = np.unique(pattern_codes(available), return_counts=True)
    patterns = {
        int(c): told for c, n in zip(codes.tolist(), counts.tolist(), strict=True) if (told := rounded(int(n), floors))
    }
    merged = int(small.any(axis=1).sum())
    return Cohort(patterns, _sizes(patterns, available.shape[1]), rounded(merged, floors), other)


def told_rows(available: Available, told: Cohort) -> npt.NDArray[np.bool_]:
    """Rows whose pattern is told, bool ``(rows,)``; all rows where patterns are not told."""
    if told.patterns is None:
        return np.ones(len(available), dtype=np.bool_)
    return np.isin(pattern_codes(available), list(told.patterns))


def _small_rows(available: Available, floors: PrivacyConfig, *, tells_patterns: bool) -> Available:
    """What rows hold whose cell is too small to be told, bool as ``available``; False elsewhere."""
    if tells_patterns:
        codes, which, counts = np.unique(pattern_codes(available), return_inverse=True, return_counts=True)
        small = np.array([rounded(int(n), floors) == 0 for n in counts], dtype=np.bool_)
        return available & (small[which][:, None] if len(codes) else np.zeros((0, 1), dtype=np.bool_))
    held = available.sum(axis=1)
    hidden = np.zeros_like(available)
    for (bit, size), count in size_counts(available).items():
        if rounded(count, floors) == 0:
            hidden[:, bit] |= available[:, bit] & (held == size)
    return hidden


def _sizes(patterns: dict[int, int], modalities: int) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for code, count in patterns.items():
        for bit in (m for m in range(modalities) if code >> m & 1):
            key = (bit, code.bit_count())
            found[key] = found.get(key, 0) + count
    return dict(sorted(found.items()))
