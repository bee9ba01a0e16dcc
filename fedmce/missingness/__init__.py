"""Missingness: mechanisms that draw masks, and the one place that removes values."""

from fedmce.missingness import imbalanced, mcar, natural, rare, sitewise  # noqa: F401 - importing registers them
from fedmce.missingness.mask_set import MaskSet, SiteMask, draw_masks, draw_site_mask
from fedmce.missingness.mechanism import MECHANISMS, SiteView, mechanism
from fedmce.missingness.observe import ObservedRows, join_rows, keep_modalities, observe

__all__ = [
    "MECHANISMS",
    "MaskSet",
    "ObservedRows",
    "SiteMask",
    "SiteView",
    "draw_masks",
    "draw_site_mask",
    "join_rows",
    "keep_modalities",
    "mechanism",
    "observe",
]
