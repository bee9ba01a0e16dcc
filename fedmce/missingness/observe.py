"""The only place that removes values: from a site's rows and its mask to what training may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import Modality, SiteRows, Split
from fedmce.errors import DataError
from fedmce.missingness.mask_file import SiteMask


@dataclass(frozen=True)
class ObservedRows:
    """Rows of one site and split, with hidden and absent values gone, not blanked.

    Attributes:
        site: the site's name.
        sample_ids: one per row.
        targets: class index, int64 ``(rows,)``.
        available: bool ``(rows, modalities)``; True = observed.
        values: per modality the observed samples only, float32 ``(observed rows, *shape)``.
        slot: int64 ``(rows, modalities)``: where in ``values`` the row's sample lies, -1 = nowhere.
    """

    site: str
    sample_ids: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    available: npt.NDArray[np.bool_]
    values: dict[str, npt.NDArray[np.float32]]
    slot: npt.NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.sample_ids)


def observe(site: SiteRows, mask: SiteMask, modalities: tuple[Modality, ...], split: Split) -> ObservedRows:
    """Rows of ``split`` that hold something, without the values that the mask hides.

    Raises:
        DataError: the mask belongs to other rows, or shows what the site never recorded.
    """
    if mask.sample_ids != site.sample_ids:
        raise DataError(f"site {site.name}: the mask was drawn for other rows; draw it for this data set and seed")
    if (mask.available & ~site.available).any():
        raise DataError(f"site {site.name}: the mask shows values that were never recorded")
    rows = np.flatnonzero((site.split == split) & mask.available.any(axis=1))
    available = mask.available[rows]
    slot = np.where(available, np.cumsum(available, axis=0) - 1, -1).astype(np.int64)
    # Fancy indexing copies, so the hidden values are not reachable through a view of the original.
    values = {m.name: site.features[m.name][rows[available[:, column]]] for column, m in enumerate(modalities)}
    return ObservedRows(
        site.name, tuple(site.sample_ids[r] for r in rows), site.targets[rows].copy(), available, values, slot
    )


def keep_modalities(rows: ObservedRows, modalities: tuple[str, ...], held: Collection[str]) -> ObservedRows:
    """The rows as somebody without the other modalities sees them; rows with nothing left go."""
    columns = np.array([name in held for name in modalities])
    available = rows.available & columns
    kept = np.flatnonzero(available.any(axis=1))
    return ObservedRows(
        rows.site,
        tuple(rows.sample_ids[r] for r in kept),
        rows.targets[kept],
        available[kept],
        {name: values for name, values in rows.values.items() if name in held},
        np.where(available, rows.slot, -1)[kept],
    )


def join_rows(site: str, parts: Sequence[ObservedRows]) -> ObservedRows:
    """Rows of several sites as those of one, in the order given; of a single part, that part under its own ids.

    Args:
        site: name of the whole.
        parts: at least one. Ids of more than one are prefixed with the part's site, so that they stay unique.
    """
    if len(parts) == 1:
        return replace(parts[0], site=site)
    names = list(parts[0].values)
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in names}
    before = np.zeros(parts[0].available.shape[1], dtype=np.int64)
    slots = []
    for part in parts:
        slots.append(np.where(part.slot >= 0, part.slot + before, -1))
        before = before + np.array([len(part.values[name]) for name in names])
    return ObservedRows(
        site,
        tuple(f"{part.site}/{name}" for part in parts for name in part.sample_ids),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.available for part in parts]),
        values,
        np.concatenate(slots),
    )
