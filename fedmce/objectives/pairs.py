"""(row, subset) pairs of a batch: planned on the CPU, predicted in one call of the fusion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fedmce.errors import ConfigError
from fedmce.subsets import EXACT_LIMIT, members, pattern_codes


@dataclass(frozen=True)
class Pairs:
    """Pairs sorted by row; the full set of a row is its last pair.

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


@lru_cache(maxsize=64)
def _codes(modalities: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    codes = np.arange(1, 1 << modalities, dtype=np.int64)
    return codes, members(codes, modalities)


def all_pairs(available_bm: npt.NDArray[np.bool_]) -> Pairs:
    """Every non-empty subset of what each row holds, in the order of codes.

    Raises:
        ConfigError: more modalities than all subsets can be listed for.
    """
    modalities = available_bm.shape[1]
    if modalities > EXACT_LIMIT:
        raise ConfigError(
            f"objective.subsets=all: given {modalities} modalities; all subsets are listed up to {EXACT_LIMIT}. "
            "use objective.subsets=sampled"
        )
    codes, member = _codes(modalities)
    pattern = pattern_codes(available_bm)
    row, which = np.nonzero((codes[None, :] & ~pattern[:, None]) == 0)
    return Pairs(row, codes[which], pattern[row], member[which])


def full_pairs(available_bm: npt.NDArray[np.bool_]) -> Pairs:
    """Only everything that each row holds."""
    pattern = pattern_codes(available_bm)
    return Pairs(np.arange(len(pattern)), pattern, pattern, available_bm)


def sampled_pairs(available_bm: npt.NDArray[np.bool_], budget: int, generator: np.random.Generator) -> Pairs:
    """``budget`` proper subsets per row and the full one; all of them where a row has no more than ``budget``.

    Subsets are drawn uniformly from the non-empty proper ones, each together with its complement in the
    row: a draw is still uniform, so the mean over a row's pairs is an unbiased estimate of the mean over all
    of its subsets, and every modality is seen in half of the draws.

    Args:
        available_bm: bool ``(rows, modalities)``, at most 62 modalities.
        budget: subsets per row; odd numbers are rounded down.
        generator: stream of the draws.
    """
    size_b = available_bm.sum(axis=1)
    few_b = (size_b <= EXACT_LIMIT) & ((1 << np.minimum(size_b, 62)) - 2 <= budget)
    pattern_b = pattern_codes(available_bm)
    parts = [_listed(available_bm, np.flatnonzero(few_b), pattern_b)]
    drawn = np.flatnonzero(~few_b)
    if len(drawn):
        half = _proper_halves(available_bm[drawn], budget // 2, generator)
        member = np.concatenate(
            [half, available_bm[drawn][:, None, :] & ~half, available_bm[drawn][:, None, :]], axis=1
        )
        row = np.repeat(drawn, member.shape[1])
        member = member.reshape(len(row), -1)
        parts.append(Pairs(row, pattern_codes(member), pattern_b[row], member))
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "subset", "pattern", "member")
    ]
    order = np.argsort(columns[0], kind="stable")
    return Pairs(*(column[order] for column in columns))


def _listed(available_bm: npt.NDArray[np.bool_], rows: npt.NDArray[np.intp], pattern_b: npt.NDArray[np.int64]) -> Pairs:
    """All non-empty subsets of rows that hold few modalities, in the order of codes."""
    found_row, found_member = [np.zeros(0, np.int64)], [np.zeros((0, available_bm.shape[1]), dtype=np.bool_)]
    for row in rows:
        held = np.flatnonzero(available_bm[row])
        _, small = _codes(len(held))
        member = np.zeros((len(small), available_bm.shape[1]), dtype=np.bool_)
        member[:, held] = small
        found_row.append(np.full(len(small), row))
        found_member.append(member)
    row_p, member_pm = np.concatenate(found_row), np.concatenate(found_member)
    return Pairs(row_p, pattern_codes(member_pm), pattern_b[row_p], member_pm)


def _proper_halves(
    available_bm: npt.NDArray[np.bool_], draws: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Uniform non-empty proper subsets, bool ``(rows, draws, modalities)``; what is empty or full is drawn again."""
    held_bkm = np.repeat(available_bm[:, None, :], draws, axis=1)
    kept = held_bkm & (generator.random(held_bkm.shape) < 0.5)
    while (again := ~kept.any(axis=2) | (kept == held_bkm).all(axis=2)).any():
        held = held_bkm[again]
        kept[again] = held & (generator.random(held.shape) < 0.5)
    return kept


def share_of_row(pairs: Pairs, scale: str = "mean") -> npt.NDArray[np.float64]:
    """Weight of each pair in the subset loss of its row; 0 for the full set.

    ``mean``: 1 / (number of the row's proper subsets that are listed), so that they weigh 1 together
    (method.md 2.3). ``sum``: 1 each, so that a proper subset weighs as much as the full set in the task
    loss, as it does in the mean over subsets that is scored. A row with one modality has no proper subset
    and no weight.
    """
    proper = ~pairs.is_full
    if scale == "sum":
        return proper.astype(np.float64)
    count = np.bincount(pairs.row[proper], minlength=int(pairs.row.max(initial=-1)) + 1)
    return np.where(proper, 1.0 / np.maximum(count, 1)[pairs.row], 0.0)
