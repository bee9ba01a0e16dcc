"""Missingness: mechanisms that draw masks, and the one place that removes values."""

from fedmce.missingness import (  # noqa: F401 - importing registers them
    bursty,
    from_file,
    imbalanced,
    mar,
    mcar,
    mnar,
    natural,
    nested,
    pattern_mixture,
    pattern_product,
    pattern_table,
    rare,
    row_share,
    site_bernoulli,
    site_fraction,
    site_table,
    sitewise,
    two_level,
)
from fedmce.missingness.away import away_modalities
from fedmce.missingness.mask_file import MaskSet, SiteMask, read_masks
from fedmce.missingness.mask_set import draw_masks, draw_site_mask
from fedmce.missingness.mechanism import MECHANISMS, SiteView, mechanism
from fedmce.missingness.observe import ObservedRows, join_rows, keep_modalities, observe

__all__ = [
    "MECHANISMS",
    "MaskSet",
    "ObservedRows",
    "SiteMask",
    "SiteView",
    "away_modalities",
    "draw_masks",
    "draw_site_mask",
    "join_rows",
    "keep_modalities",
    "mechanism",
    "observe",
    "read_masks",
]
