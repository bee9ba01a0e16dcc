"""KNN imputation: what stands in for an absent modality is the mean of the most similar training rows of the site.

The distance of two rows is that of scikit-learn's ``nan_euclidean_distances`` on standardised entries: the squares over
the entries that both have, divided by how many these are. Donors of modality m are the training rows of the row's own
site that hold m; a row is never its own donor. Where no donor can be compared, the federated mean stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.missingness import ObservedRows
from fedmce.models import Statistics, normalise
from fedmce.subsets import pattern_codes

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Table:
    """Entries of one modality, flat: standardised, 0 where there is none, and which there are."""

    value: npt.NDArray[np.float64]
    seen: npt.NDArray[np.float64]


def _table(rows: ObservedRows, column: int, name: str, scale: Statistics) -> _Table:
    held, size = rows.slot[:, column] >= 0, int(np.prod(rows.values[name].shape[1:]))
    raw = rows.values[name][rows.slot[held, column]]
    value, seen = np.zeros((rows.rows, size)), np.zeros((rows.rows, size))
    value[held] = normalise(raw, scale).reshape(-1, size)
    seen[held] = np.isfinite(raw).reshape(-1, size)
    return _Table(value, seen)


def nearest(
    apart: npt.NDArray[np.float64],
    shared: npt.NDArray[np.float64],
    can_give: npt.NDArray[np.bool_],
    count: int,
) -> npt.NDArray[np.int64]:
    """The most similar donors of each row.

    Args:
        apart: sum of squared differences over the entries that both have, ``(rows, donors)``.
        shared: how many entries these are; donors that share none cannot be compared.
        can_give: bool ``(rows, donors)`` or ``(donors,)``.
        count: neighbours wanted.

    Returns:
        Numbers of donors, nearest first, ties by number, -1 where there are fewer; int64 ``(rows, count)``.
    """
    usable = (shared > 0) & can_give
    distance = np.where(usable, apart / np.maximum(shared, 1.0), np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :count].astype(np.int64)
    found = np.where(np.take_along_axis(usable, order, axis=1), order, -1)
    return np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=-1)


class Imputer:
    """Stand-ins for what some rows lack, or a subset of them hides.

    Args:
        rows: the rows.
        donors: training rows of their site; None where the site has none.
        statistics: standardisation and federated mean sample per modality that is imputed.
        modalities: names in data set order.
        count: neighbours.
    """

    def __init__(
        self,
        rows: ObservedRows,
        donors: ObservedRows | None,
        statistics: Mapping[str, Statistics],
        modalities: tuple[str, ...],
        count: int,
    ) -> None:
        self._names, self._count = modalities, count
        self._blank = {}
        for name, scale in statistics.items():
            assert scale.blank is not None, "knn_input needs the federated mean sample"
            self._blank[name] = normalise(scale.blank[None], scale)[0]
        self._given: dict[int, Floats] = {}
        self._can_give = np.zeros((0, len(modalities)), dtype=np.bool_)
        self._between: dict[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}
        self._same = np.zeros((rows.rows, 0), dtype=np.bool_)
        self._nearest: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
        if donors is None or not donors.rows:
            return
        self._can_give = donors.available & np.array([name in statistics for name in modalities])
        place = {name: number for number, name in enumerate(donors.sample_ids)}
        self._same = np.zeros((rows.rows, donors.rows), dtype=np.bool_)
        for number, sample in enumerate(rows.sample_ids):
            if sample in place:
                self._same[number, place[sample]] = True
        for column, name in enumerate(modalities):
            if name in statistics:
                given = _table(donors, column, name, statistics[name])
                self._given[column] = given.value.astype(np.float32)
                self._between[column] = _between(_table(rows, column, name, statistics[name]), given)

    def stand_ins(self, row: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_], column: int) -> Floats:
        """Standardised samples ``(pairs, *shape)`` of one modality for rows that lack it, or whose subset does.

        Args:
            row: numbers of rows, int64 ``(pairs,)``.
            member_pm: what may be looked at of each, bool ``(pairs, modalities)``; without the modality itself.
            column: the modality.
        """
        blank = self._blank[self._names[column]]
        found = np.repeat(blank[None], len(row), axis=0)
        for here, donor in self._by_subset(row, member_pm, column):
            known = donor >= 0
            total = np.where(known[:, :, None], self._given[column][donor], 0).sum(axis=1, dtype=np.float64)
            some = np.flatnonzero(known.any(axis=1))
            mean = total[some] / known[some].sum(axis=1, keepdims=True)
            found[here[some]] = mean.reshape(len(some), *blank.shape)
        return found

    def without_donor(self, row: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_], column: int) -> int:
        """How many of :meth:`stand_ins` are the federated mean."""
        found = self._by_subset(row, member_pm, column)
        return len(row) - sum(int((donor >= 0).any(axis=1).sum()) for _, donor in found)

    def _by_subset(
        self, row: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_], column: int
    ) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]]:
        """Places of the pairs of one subset, and their neighbours ``(places, count)``; nothing without donors."""
        code = pattern_codes(member_pm)
        for one in np.unique(code) if column in self._given else ():
            here = np.flatnonzero(code == one)
            yield here, self._donors(int(one), column)[row[here]]

    def _donors(self, code: int, column: int) -> npt.NDArray[np.int64]:
        """Neighbours of every row by the modalities of ``code``; kept, since every epoch and round asks again."""
        if (code, column) not in self._nearest:
            used = [m for m in self._between if code >> m & 1]
            apart, shared = np.zeros(self._same.shape), np.zeros(self._same.shape)
            for m in used:
                apart, shared = apart + self._between[m][0], shared + self._between[m][1]
            can_give = self._can_give[:, column] & ~self._same
            self._nearest[code, column] = nearest(apart, shared, can_give, self._count)
        return self._nearest[code, column]


def _between(rows: _Table, donors: _Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of squared differences over entries that both have, and their number, both ``(rows, donors)``."""
    apart = rows.value**2 @ donors.seen.T + rows.seen @ (donors.value**2).T - 2 * rows.value @ donors.value.T
    return np.maximum(apart, 0.0), rows.seen @ donors.seen.T
