"""``two_level``: at a share of the sites, a share of the rows loses one modality (MMiC: floor(share K) sites, uniform)."""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import TwoLevelConfig
from fedmce.missingness.chosen_sites import chosen_sites
from fedmce.missingness.counts import count
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("two_level")
def two_level(config: TwoLevelConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide one modality, any alike, in the drawn rows of the drawn sites."""
    concerned = chosen_sites(view.training_sites, config.sites, view.seed, "two-level", config.rounding, least=0)
    hidden = np.zeros_like(view.available)
    if view.site not in concerned:
        return hidden, dict.fromkeys(view.modalities, 0.0)
    rows = view.lot("two-level-rows")[: count(config.share, len(view.sample_ids), config.rounding)]
    which = (view.uniforms("two-level-which", ["row"])[rows, 0] * len(view.modalities)).astype(np.int64)
    hidden[rows, which] = True
    return hidden & view.available, dict.fromkeys(view.modalities, config.share / len(view.modalities))
