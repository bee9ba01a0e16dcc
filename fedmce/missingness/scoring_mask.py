"""Masks of test rows: any mechanism, whatever the model was trained under."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fedmce.data.dataset import FederatedDataset
from fedmce.missingness.empty import settle_empty
from fedmce.missingness.mask_file import MaskSet, SiteMask
from fedmce.missingness.mask_set import view_of
from fedmce.missingness.mechanism import MECHANISMS


def draw_test_masks(dataset: FederatedDataset, config: Any, seed: int, sites: Iterable[str] | None = None) -> MaskSet:
    """Draw the masks under which test rows are scored; the mask of a site depends on no other site's rows.

    Args:
        dataset: as the run saw it, with its natural gaps.
        config: section of a mechanism, that of the run or another.
        seed: root of the draw, keyed by site and sample id: test rows never share a draw with training rows, but a
            site's rates and the holders of a modality are those of training under the same section and seed.
        sites: whose masks; default all.

    Returns:
        Masks of all rows of these sites: test rows as the mechanism leaves them, with nothing only as ``on_empty``
        allows; training and validation rows hold nothing, since nobody scores them here. ``rates`` are the nominal
        ones of test rows.
    """
    masks, rates = {}, {}
    for name in sites or dataset.sites:
        site = dataset.sites[name]
        view = view_of(dataset, site, "test", seed)
        hidden, rates[name] = MECHANISMS[config.name](config, view)
        available = np.zeros_like(site.available)
        available[view.index] = view.available & ~settle_empty(view, hidden, rates[name], config.on_empty)
        masks[name] = SiteMask(site.sample_ids, available)
    return MaskSet(tuple(m.name for m in dataset.modalities), masks, rates)
