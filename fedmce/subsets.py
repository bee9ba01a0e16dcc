"""Subsets of modalities as bit codes, and their names.

Bit m of a code is modality m in data set order: with modalities (image, audio) code 1 is ``image``,
2 is ``audio``, 3 is ``image+audio``. Patterns (what a row holds) and subsets (what fusion is given)
use the same codes; 0 is the empty set.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

EXACT_LIMIT = 12  # modalities up to which every subset can be listed at all: 4,095 per row
AUTO_LIMIT = 6  # up to here it does so by itself and draws subsets beyond (method.md 2.3)
LISTED = 8  # modalities up to which every subset is scored, and contributions are exact by default: 255
PANEL = 96  # subsets that are scored beyond


def pattern_codes(available_bm: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Code of what each row holds, int64 ``(rows,)``."""
    weights = 1 << np.arange(available_bm.shape[1], dtype=np.int64)
    codes: npt.NDArray[np.int64] = (available_bm.astype(np.int64) * weights).sum(axis=1)
    return codes


@lru_cache(maxsize=4096)
def subsets_of(pattern: int) -> tuple[int, ...]:
    """All non-empty subsets of a pattern in ascending order, the pattern itself last."""
    found = []
    code = pattern
    while code:
        found.append(code)
        code = (code - 1) & pattern
    return tuple(reversed(found))


def members(codes: npt.NDArray[np.int64], modalities: int) -> npt.NDArray[np.bool_]:
    """Which modalities each code holds, bool ``(codes, modalities)``."""
    return ((codes[:, None] >> np.arange(modalities)) & 1).astype(bool)


def subset_name(code: int, modalities: Sequence[str]) -> str:
    """``image+audio`` for a code; the empty set is ``nothing``."""
    return "+".join(name for bit, name in enumerate(modalities) if code >> bit & 1) or "nothing"


@lru_cache(maxsize=32)
def _panel(modalities: int) -> tuple[int, ...]:
    full = (1 << modalities) - 1
    chosen = {full, *(1 << m for m in range(modalities)), *(full ^ 1 << m for m in range(modalities))}
    draw = np.random.default_rng((PANEL, modalities))  # no stream of a run: every run scores the same subsets
    while len(chosen) < PANEL:
        # Sizes alike, then subsets of the size alike: drawn over all subsets, nearly all would be of half size.
        size = int(draw.integers(2, modalities - 1))
        chosen.add(sum(1 << int(m) for m in draw.choice(modalities, size, replace=False)))
    return tuple(sorted(chosen))


def scored_codes(modalities: int) -> npt.NDArray[np.int64]:
    """Codes of the subsets that are scored, ascending: all of up to 8 modalities, else a panel of 96.

    The panel holds each modality alone, everything, everything but one, and random others. It depends on the
    number of modalities alone, so scores of runs compare.
    """
    if modalities <= LISTED:
        return np.arange(1, 1 << modalities, dtype=np.int64)
    return np.array(_panel(modalities), dtype=np.int64)


def scored_subsets(modalities: Sequence[str]) -> dict[str, int]:
    """Name -> code of the subsets that are scored, small subsets first, then in code order; all of them last."""
    codes = sorted(scored_codes(len(modalities)).tolist(), key=lambda code: (code.bit_count(), code))
    return {subset_name(code, modalities): code for code in codes}
