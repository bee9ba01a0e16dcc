"""``natural``: hide nothing; the gaps are those that the data came with."""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import NaturalConfig
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("natural")
def natural(config: NaturalConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Nothing is hidden, at any site."""
    return np.zeros_like(view.available), {}
