"""``rare``: one modality that few sites hold, such as a scanner that only two hospitals own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import RareConfig
from fedmce.missingness.chosen_sites import chosen_sites
from fedmce.missingness.mechanism import Rates, SiteView, hide_by_rates, mechanism


@mechanism("rare")
def rare(config: RareConfig, view: SiteView) -> tuple[npt.NDArray[np.bool_], Rates]:
    """Hide the rare modality wherever its holders are not, and the others at their rates."""
    holders = chosen_sites(
        view.training_sites, config.holders, view.seed, "rare-holders", first=config.choose == "first"
    )
    rates = dict.fromkeys(view.modalities, config.others) | {config.modality: 0.0} | config.rates
    if view.site not in holders:
        rates[config.modality] = 1.0
    return hide_by_rates(view, rates, config.draw), rates
