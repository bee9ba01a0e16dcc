"""``imbalanced``: one missing rate per modality, the same at every site (MCAR)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ImbalancedConfig
from fedmce.missingness.mechanism import Rates, SiteView, hide_by_rates, mechanism


@mechanism("imbalanced")
def imbalanced(config: ImbalancedConfig, view: SiteView) -> tuple[npt.NDArray[np.bool_], Rates]:
    """Hide each modality's rows at its rate, exact count per site or row by row."""
    ordered = config.in_order
    rates = dict(config.rates) if ordered is None else dict(zip(view.modalities, ordered, strict=True))
    return hide_by_rates(view, rates, config.draw), rates
