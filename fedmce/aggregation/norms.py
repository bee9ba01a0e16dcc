"""How far the holders of a component moved it, and what that says of how far one of them may.

The limit of a component is a multiple of the *lower* median of the norms that were accepted in its last rounds: where
half of them are lies (one of two holders), the upper or the mean of the two middle ones would let the liar raise its own
limit round by round; the lower one never exceeds the largest honest norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from fedmce.aggregation.mean import Arrays
from fedmce.aggregation.server_optimiser import is_parameter
from fedmce.config.trust import RobustConfig

BLOCK = 1 << 16  # entries that are worked on at once: what is computed beside the replies stays small
FIRST_ROUNDS = 3  # with fewer rounds behind it a median says nothing
KEPT_ROUNDS = 5
LEAST_NORMS = 5  # behind a median by which a reply may be refused
KEPT_NORMS = 101  # of a round with more holders: evenly spaced ranks, so that a state stays small
MOST_GROWTH = 10.0  # a norm is remembered as at most so many medians: the gate refuses larger ones anyway
Flat = npt.NDArray[np.float32]


def norm_group(key: str) -> str:
    """What a parameter's change is measured with: its component, or for statistics of batch normalisation itself.

    A counter of batches moves by more than all weights together; in one norm with them it would hide any lie.
    """
    return key.partition("/")[0] if is_parameter(key) else key


def blocks(size: int) -> Iterator[slice]:
    """Slices that cover ``size`` entries."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def change_norms(old: Arrays, new: Arrays) -> dict[str, float]:
    """Euclidean norm of ``new - old`` per group (:func:`norm_group`), summed in float64 in order of the keys.

    Args:
        old: parameter -> array; may hold more.
        new: parameter -> array of equal shape, finite.
    """
    squares: dict[str, float] = {}
    for key in sorted(new):
        before, after = np.asarray(old[key]).reshape(-1), np.asarray(new[key]).reshape(-1)
        group, total = norm_group(key), 0.0
        for part in blocks(after.size):
            change = np.subtract(after[part], before[part], dtype=np.float64)
            total += float(np.square(change, out=change).sum())  # no BLAS: its bits depend on threads
        squares[group] = squares.get(group, 0.0) + total
    return {group: sqrt(total) for group, total in squares.items()}


@dataclass(frozen=True)
class NormHistory:
    """Norms of accepted changes per group, of its last rounds with an accepted change, oldest first.

    Attributes:
        rounds: group -> rounds -> norms above 0 of the holders, in order of size.
    """

    rounds: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    def updated(self, fresh: Mapping[str, Mapping[str, float]]) -> NormHistory:
        """Fold in one round.

        Args:
            fresh: group -> site -> norm. A change of 0 says nothing of how far a site may go, and is left out.
        """
        rounds = dict(self.rounds)
        for group, by_site in fresh.items():
            most = MOST_GROWTH * (self.median(group) or np.inf)
            norms = sorted(min(norm, most) for norm in by_site.values() if 0 < norm < np.inf)
            if norms:
                rounds[group] = (*rounds.get(group, ()), _thinned(norms))[-KEPT_ROUNDS:]
        return NormHistory(rounds)

    def median(self, group: str) -> float | None:
        """Lower median of the norms that are remembered; None before ``FIRST_ROUNDS`` rounds."""
        rounds = self.rounds.get(group, ())
        if len(rounds) < FIRST_ROUNDS:
            return None
        norms = sorted(norm for one in rounds for norm in one)
        return norms[(len(norms) - 1) // 2]

    def samples(self, group: str) -> int:
        """Norms behind the median."""
        return sum(len(one) for one in self.rounds.get(group, ()))

    def limit(self, group: str, config: RobustConfig) -> float:
        """tau_c: ``clip`` times the median, ``first_norm`` while there is none."""
        median = self.median(group)
        return config.first_norm if median is None else config.clip * median

    def refusal_limits(self) -> dict[str, float]:
        """Norm per component beyond which a change is no change of scale but another thing: ``MOST_GROWTH`` medians.

        For the gate; none while there are few norms. Statistics of batch normalisation are left out.
        """
        medians = {g: self.median(g) for g in self.rounds if "/" not in g and self.samples(g) >= LEAST_NORMS}
        return {group: MOST_GROWTH * median for group, median in medians.items() if median is not None}

    def to_json(self) -> dict[str, list[list[float]]]:
        """Lists and numbers; floats survive JSON to the bit."""
        return {group: [list(norms) for norms in rounds] for group, rounds in sorted(self.rounds.items())}

    @staticmethod
    def from_json(tree: Mapping[str, list[list[float]]]) -> NormHistory:
        """What :meth:`to_json` gave.

        Raises:
            ValueError: a norm that is not a finite number above 0.
        """
        rounds = {g: tuple(tuple(float(n) for n in one) for one in told) for g, told in tree.items()}
        for group, told in rounds.items():
            if not all(isfinite(n) and n > 0 for one in told for n in one):
                raise ValueError(f"norms of {group}: given {told}; needed finite numbers above 0")
        return NormHistory(rounds)


def _thinned(norms: list[float]) -> tuple[float, ...]:
    """At most ``KEPT_NORMS`` of sorted norms, the smallest, the middle and the largest among them."""
    last = len(norms) - 1
    if last < KEPT_NORMS:
        return tuple(norms)
    return tuple(norms[rank * last // (KEPT_NORMS - 1)] for rank in range(KEPT_NORMS))
