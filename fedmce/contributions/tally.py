"""What was measured on some rows: a share table, and a value table where every subset was predicted.

Whoever weighs, judges or records contributions asks a tally, so exact and sampled ones are treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from fedmce.contributions.pooled import Sums, contributions, pooled_interactions, standardised_shares, standardised_sums
from fedmce.contributions.share_table import ShareTable
from fedmce.contributions.value_table import ValueTable

Scores = dict[str, float | None]


@dataclass(frozen=True)
class Tally:
    """Tables of the same rows; tallies add up over sites.

    Attributes:
        shares: sums over rows, for standard errors and, alone, for estimated contributions.
        values: sums per pattern and subset; None where subsets were sampled.
    """

    shares: ShareTable
    values: ValueTable | None = None

    def __add__(self, other: Tally) -> Tally:
        both = self.values is not None and other.values is not None
        if not both and (self.values is not None or other.values is not None):
            raise ValueError("tallies: an exact and a sampled one cannot be added")
        values = self.values + other.values if self.values is not None and other.values is not None else None
        return Tally(self.shares + other.shares, values)

    def contributions(self, modalities: Sequence[str], empty_value: float) -> Scores:
        """Pooled contribution per modality; None where no row holds it, never imputed."""
        if self.values is not None:
            return contributions(self.values, modalities, empty_value, self.shares.index)
        return self.shares.means(modalities, empty_value)

    def standard_errors(self, modalities: Sequence[str], empty_value: float) -> Scores:
        """Standard error of each over rows (:meth:`ShareTable.standard_errors`)."""
        return self.shares.standard_errors(modalities, empty_value)

    def interactions(self, modalities: Sequence[str], empty_value: float) -> Scores:
        """Pairwise Shapley interactions; none where subsets were sampled."""
        return {} if self.values is None else pooled_interactions(self.values, modalities, empty_value)

    def rows(self, modalities: Sequence[str]) -> dict[str, int]:
        """Measured rows that hold each modality."""
        return {name: self.shares.rows(bit) for bit, name in enumerate(modalities)}


def pooled_tally(tallies: Mapping[str, Tally]) -> Tally:
    """Sum of the sites' tallies, in order of site names; there must be one."""
    return reduce(add, (tallies[site] for site in sorted(tallies)))


def standardised(tallies: Mapping[str, Tally], pool: Tally, modalities: Sequence[str], empty_value: float) -> Sums:
    """(own, expected) contribution per site and modality: of equal patterns, or of equal sizes if sampled."""
    if pool.values is not None:
        tables = {site: tally.values for site, tally in tallies.items() if tally.values is not None}
        return standardised_sums(tables, pool.values, modalities, empty_value, pool.shares.index)
    return standardised_shares({s: t.shares for s, t in tallies.items()}, pool.shares, modalities, empty_value)
