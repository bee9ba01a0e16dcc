"""Masks of an experiment: drawn once, bound to rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fedmce.data.dataset import FederatedDataset, SiteRows
from fedmce.missingness.empty import settle_empty
from fedmce.missingness.mask_file import MaskSet, SiteMask
from fedmce.missingness.mechanism import MECHANISMS, Rates, SiteView


def draw_site_mask(dataset: FederatedDataset, site: SiteRows, config: Any, seed: int) -> tuple[SiteMask, Rates]:
    """Draw the mask of one site; no other site's rows are looked at, only how many they are.

    Training and validation rows are masked, each by itself, so that exact counts hold in both. Test
    rows keep what they naturally hold: which subset a test row may use is chosen at scoring.

    Args:
        dataset: all sites.
        site: one of them.
        config: section of the group ``missingness``.
        seed: root seed.

    Returns:
        The mask, and the nominal missing rate of each modality in the training rows.
    """
    available = site.available.copy()
    rates: Rates = {}
    for split in ("validation", "train"):  # the rates of training are the ones that stay
        view = view_of(dataset, site, split, seed)
        hidden, rates = MECHANISMS[config.name](config, view)
        available[view.index] &= ~settle_empty(view, hidden, rates, config.on_empty)
    return SiteMask(site.sample_ids, available), rates


def view_of(dataset: FederatedDataset, site: SiteRows, split: str, seed: int) -> SiteView:
    """What a mechanism gets to know of one split of a site."""
    rows = np.flatnonzero(site.split == split)
    sizes = {
        which: {name: int((other.split == which).sum()) for name, other in dataset.sites.items()}
        for which in {"train", split}
    }
    return SiteView(
        site=site.name,
        site_order=tuple(dataset.sites),
        modalities=tuple(m.name for m in dataset.modalities),
        sample_ids=tuple(site.sample_ids[r] for r in rows),
        available=site.available[rows],
        seed=seed,
        site_rows=sizes["train"],
        split_rows=sizes[split],
        split=split,
        rows=site,
        index=rows,
    )


def draw_masks(dataset: FederatedDataset, config: Any, seed: int, sites: Iterable[str] | None = None) -> MaskSet:
    """Draw the masks of the named sites (default all)."""
    drawn = {name: draw_site_mask(dataset, dataset.sites[name], config, seed) for name in (sites or dataset.sites)}
    modalities = tuple(m.name for m in dataset.modalities)
    return MaskSet(
        modalities,
        {n: mask for n, (mask, _) in drawn.items()},
        {n: rates for n, (_, rates) in drawn.items()},
        {n: missing_shares(dataset.sites[n], mask, modalities) for n, (mask, _) in drawn.items()},
    )


def missing_shares(site: SiteRows, mask: SiteMask, modalities: tuple[str, ...]) -> Rates:
    """Missing share of the training rows that naturally held each modality; left out where none did."""
    trains = site.split == "train"
    held, left = site.available[trains].sum(axis=0), mask.available[trains].sum(axis=0)
    return {m: float(1 - left[c] / held[c]) for c, m in enumerate(modalities) if held[c]}
