"""(row, subset) pairs of a batch: planned on the CPU, predicted in one call of the fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.subsets import members, pattern_codes

EXACT_LIMIT = 12  # all subsets up to this many modalities: 4,095 per row


@dataclass(frozen=True)
class Pairs:
    """Pairs sorted by row, then by subset code.

    Attributes:
        row: int64 ``(pairs,)``.
        subset: code per pair, int64 ``(pairs,)``.
        pattern: code of what the pair's row holds, int64 ``(pairs,)``.
        member: bool ``(pairs, modalities)``.
    """

    row: npt.NDArray[np.int64]
    subset: npt.NDArray[np.int64]
    pattern: npt.NDArray[np.int64]
    member: npt.NDArray[np.bool_]

    @property
    def is_full(self) -> npt.NDArray[np.bool_]:
        """True where the subset is everything that the row holds."""
        return np.equal(self.subset, self.pattern)


def all_pairs(available_bm: npt.NDArray[np.bool_]) -> Pairs:
    """Every non-empty subset of what each row holds.

    Raises:
        ValueError: more modalities than all subsets can be listed for.
    """
    modalities = available_bm.shape[1]
    if modalities > EXACT_LIMIT:
        raise ValueError(f"subsets: {modalities} modalities; all subsets are listed up to {EXACT_LIMIT}")
    codes = np.arange(1, 1 << modalities, dtype=np.int64)
    pattern = pattern_codes(available_bm)
    row, which = np.nonzero((codes[None, :] & ~pattern[:, None]) == 0)
    return Pairs(row, codes[which], pattern[row], members(codes, modalities)[which])


def share_of_row(pairs: Pairs, scale: str = "mean") -> npt.NDArray[np.float64]:
    """Weight of each pair in the subset loss of its row; 0 for the full set.

    ``mean``: 1 / (2^|e| - 2), so that the proper subsets of a row weigh 1 together (method.md 2.3).
    ``sum``: 1 each, so that a proper subset weighs as much as the full set in the task loss, as it does in
    the mean over subsets that is scored. A row with one modality has no proper subset and no weight.
    """
    if scale == "sum":
        return np.where(pairs.is_full, 0.0, 1.0)
    proper = 2.0 ** pairs_size(pairs.pattern) - 2.0
    return np.where(pairs.is_full, 0.0, 1.0 / np.maximum(proper, 1.0))


def pairs_size(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of modalities in each code."""
    return np.array([int(code).bit_count() for code in codes], dtype=np.int64)
