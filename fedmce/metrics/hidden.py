"""How well completion heads guess what was hidden from them on purpose, as sums that add up over sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CompletionSums:
    """Sums over hidden entries of one modality.

    Attributes:
        rows: entries.
        angles: entries whose cosine is defined (neither token is all zero).
        cosine: sum of cosines.
        error: sum of squared distances between guess and truth.
        total: sum of true tokens, float64 ``(width,)``.
        square: sum of squared norms of true tokens.
    """

    rows: int
    angles: int
    cosine: float
    error: float
    total: Array
    square: float

    @classmethod
    def of(cls, guess_nd: Array, truth_nd: Array) -> CompletionSums:
        """Sums of guesses and true tokens, both ``(entries, width)``."""
        norm = np.linalg.norm(guess_nd, axis=1) * np.linalg.norm(truth_nd, axis=1)
        known = norm > 0
        cosine = (guess_nd * truth_nd).sum(axis=1)[known] / norm[known]
        error = float(np.square(guess_nd - truth_nd).sum())
        total, square = truth_nd.sum(axis=0), float(np.square(truth_nd).sum())
        return cls(len(truth_nd), int(known.sum()), float(cosine.sum()), error, total, square)

    def __add__(self, other: CompletionSums) -> CompletionSums:
        """Sums of both."""
        return CompletionSums(
            self.rows + other.rows,
            self.angles + other.angles,
            self.cosine + other.cosine,
            self.error + other.error,
            self.total + other.total,
            self.square + other.square,
        )

    def cosine_similarity(self) -> float | None:
        """Mean cosine of guess and truth, -1 to 1; None where it is defined nowhere."""
        return self.cosine / self.angles if self.angles else None

    def normalised_error(self) -> float | None:
        """Squared error / squared distance of the true tokens from their mean: 0 is perfect, 1 the mean's own.

        None where the true tokens do not vary: no entry, one entry, or one token for all.
        """
        if not self.rows:
            return None
        scatter = self.square - float(np.square(self.total).sum()) / self.rows
        # Rounding leaves a rest where all tokens are alike.
        return self.error / scatter if scatter > 1e-12 * self.square else None
