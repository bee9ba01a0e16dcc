"""Masks of an experiment: drawn once, bound to rows, saved, hashed."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import FederatedDataset, SiteRows
from fedmce.errors import DataError
from fedmce.missingness.mechanism import MECHANISMS, SiteView, restore_empty


@dataclass(frozen=True)
class SiteMask:
    """Availability of one site's rows after masking: bool ``(rows, modalities)``, True = there."""

    sample_ids: tuple[str, ...]
    available: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MaskSet:
    """What every site holds after the experiment has hidden its part.

    Attributes:
        modalities: order of the columns.
        sites: mask per site; covers all rows of the site, test rows with their natural gaps only.
        rates: the missing rates asked for, per site and modality (empty for ``natural``).
    """

    modalities: tuple[str, ...]
    sites: dict[str, SiteMask]
    rates: dict[str, dict[str, float]]

    def sha256(self) -> str:
        """Hash of names, sample ids and availability; independent of the order of sites."""
        digest = hashlib.sha256("\x1f".join(self.modalities).encode())
        for name in sorted(self.sites):
            mask = self.sites[name]
            digest.update("\x1e".join([name, *mask.sample_ids]).encode())
            digest.update(np.packbits(mask.available).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write ``modalities``, ``ids/<site>`` and ``available/<site>`` as npz without pickle."""
        arrays: dict[str, npt.NDArray[Any]] = {"modalities": np.array(self.modalities)}
        for name in sorted(self.sites):
            arrays[f"ids/{name}"] = np.array(self.sites[name].sample_ids)
            arrays[f"available/{name}"] = self.sites[name].available
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> MaskSet:
        """Read what :meth:`save` wrote. Raises :class:`DataError` if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                names = sorted(key.removeprefix("ids/") for key in file.files if key.startswith("ids/"))
                sites = {n: SiteMask(tuple(file[f"ids/{n}"].tolist()), file[f"available/{n}"]) for n in names}
                return cls(tuple(file["modalities"].tolist()), sites, {})
        except (OSError, KeyError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: {error}; a mask file of a run is needed") from error


def draw_site_mask(
    dataset: FederatedDataset, site: SiteRows, config: Any, seed: int
) -> tuple[SiteMask, dict[str, float]]:
    """Draw the mask of one site; no other site is looked at.

    Training and validation rows are masked, each by itself, so that exact counts hold in both. Test
    rows keep what they naturally hold: which subset a test row may use is chosen at scoring.
    """
    names = tuple(m.name for m in dataset.modalities)
    available = site.available.copy()
    rates: dict[str, float] = {}
    site_rows = {name: int((rows.split == "train").sum()) for name, rows in dataset.sites.items()}
    for split in ("train", "validation"):
        rows = np.flatnonzero(site.split == split)
        ids = tuple(site.sample_ids[r] for r in rows)
        view = SiteView(site.name, tuple(dataset.sites), names, ids, site.available[rows], seed, site_rows)
        hidden, rates = MECHANISMS[config.name](config, view)
        available[rows] &= ~restore_empty(view, hidden, rates)
    return SiteMask(site.sample_ids, available), rates


def draw_masks(dataset: FederatedDataset, config: Any, seed: int, sites: Iterable[str] | None = None) -> MaskSet:
    """Draw the masks of the named sites (default all)."""
    drawn = {name: draw_site_mask(dataset, dataset.sites[name], config, seed) for name in (sites or dataset.sites)}
    modalities = tuple(m.name for m in dataset.modalities)
    return MaskSet(
        modalities, {n: mask for n, (mask, _) in drawn.items()}, {n: rates for n, (_, rates) in drawn.items()}
    )
