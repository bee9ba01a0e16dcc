"""``row_share``: a share of all rows, wherever they lie, loses exactly one modality.

The mask of missing-aware prompting (Lee et al. 2023) and its federated followers: floor(N r) of the N rows of the whole
data set, split between the modalities in given parts (half and half for two).
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import RowShareConfig
from fedmce.missingness.counts import count, counts
from fedmce.missingness.deal import deal_to_sites
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("row_share")
def row_share(config: RowShareConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide one modality in this site's part of the drawn rows.

    How many of the drawn rows lie here is drawn from the sites' row counts, as if the rows had been drawn out of
    all; so exact counts hold over the whole data set, and a site more moves the other sites' parts.
    """
    split = config.split or dict.fromkeys(view.modalities, 1.0)
    shares = np.array([split.get(m, 0.0) for m in view.modalities])
    shares = shares / shares.sum()
    sizes = dict(view.split_rows) or {view.site: len(view.sample_ids)}
    lost = counts(shares, count(config.share, sum(sizes.values()), config.rounding), "largest_remainder")
    here = deal_to_sites(lost, sizes, view.site, view.seed, f"row-share/{view.split}")
    hidden, rows = np.zeros_like(view.available), view.lot("row-share-rows")
    for column, (first, last) in enumerate(zip(np.cumsum(here) - here, np.cumsum(here), strict=True)):
        hidden[rows[first:last], column] = True
    return hidden & view.available, dict(zip(view.modalities, (config.share * shares).tolist(), strict=True))
