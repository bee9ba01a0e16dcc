"""``natural``: hide nothing; the gaps are those that the data came with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import NaturalConfig
from fedmce.missingness.mechanism import Rates, SiteView, mechanism


@mechanism("natural")
def natural(config: NaturalConfig, view: SiteView) -> tuple[npt.NDArray[np.bool_], Rates]:
    """Nothing is hidden, at any site."""
    return np.zeros_like(view.available), {}
