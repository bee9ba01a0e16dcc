"""What a missingness mechanism is, and the registry of mechanisms.

A mechanism looks at one site at a time: it gets the site's rows and returns which entries to hide. Of other
sites it knows the names and how many rows they have, nothing else. Draws are keyed by site and sample id, so a
site's mask does not depend on which other sites take part, unless the rule itself is about "so many of the sites".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import SiteRows
from fedmce.missingness.ids import in_order
from fedmce.registry import registrar
from fedmce.streams import keyed_uniforms


@dataclass(frozen=True)
class SiteView:
    """What a mechanism may know of a site.

    Attributes:
        site: its name.
        site_order: all sites of the data set in its own order; rules such as "the first k" use it.
        modalities: names in data set order.
        sample_ids: the rows that may be masked, all of one split.
        available: natural availability of these rows, bool ``(rows, modalities)``.
        seed: root seed.
        site_rows: training rows of every site of the data set; empty = nothing is known of them.
        split_rows: rows of every site in the split of this view; empty = this site is alone.
        split: the split of these rows.
        rows: the site's data; None = only names and gaps are known.
        index: numbers of the view's rows in ``rows``, int64 ``(rows,)``.
    """

    site: str
    site_order: tuple[str, ...]
    modalities: tuple[str, ...]
    sample_ids: tuple[str, ...]
    available: npt.NDArray[np.bool_]
    seed: int
    site_rows: Mapping[str, int] = field(default_factory=dict)
    split_rows: Mapping[str, int] = field(default_factory=dict)
    split: str = "train"
    rows: SiteRows | None = None
    index: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def training_sites(self) -> tuple[str, ...]:
        """Sites with training rows, in data set order; what "so many sites" counts."""
        return tuple(site for site in self.site_order if self.site_rows.get(site, 1) > 0)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Class of each row, int64 ``(rows,)``."""
        return self._data.targets[self.index]

    def values(self, modality: str) -> npt.NDArray[np.float32]:
        """What the rows recorded of a modality, float32 ``(rows, *shape)``; NaN where they recorded nothing."""
        return self._data.features[modality][self.index]

    def class_rows(self, target: int, split: str) -> int:
        """Rows of a class that the site has in a split."""
        return int(((self._data.targets == target) & (self._data.split == split)).sum())

    @property
    def _data(self) -> SiteRows:
        assert self.rows is not None, "this mechanism needs the site's rows"
        return self.rows

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The rows by sample id, numbers in it by value: the order of the file or of time, however rows are stored."""
        return in_order(self.sample_ids)

    def uniforms(self, purpose: str, columns: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """One uniform number per row and column (default: modality), keyed by sample id."""
        return keyed_uniforms(
            self.seed, purpose, self.site, self.sample_ids, self.modalities if columns is None else columns
        )

    def lot(self, purpose: str) -> npt.NDArray[np.int64]:
        """The rows in an order by lot, int64 ``(rows,)``; a row less moves no other against the rest."""
        return np.argsort(self.uniforms(purpose, ["row"])[:, 0], kind="stable").astype(np.int64)


Rates = dict[str, float]
Hidden = npt.NDArray[np.bool_]
Mechanism = Callable[[Any, SiteView], tuple[Hidden, Rates]]
MECHANISMS: dict[str, Mechanism] = {}
# its config, a site -> hidden (rows, modalities), nominal rate per modality
mechanism = registrar(MECHANISMS, "mechanism")
