"""``mcar``: one missing rate for every modality and site, completely at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import McarConfig
from fedmce.missingness.mechanism import Rates, SiteView, hide_by_rates, mechanism


@mechanism("mcar")
def mcar(config: McarConfig, view: SiteView) -> tuple[npt.NDArray[np.bool_], Rates]:
    """Hide each modality's rows at the shared rate, modality by modality."""
    rates = dict.fromkeys(view.modalities, config.rate)
    return hide_by_rates(view, rates, config.draw), rates
