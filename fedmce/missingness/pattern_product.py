"""``pattern_product``: every pattern gets its share under independence, as a count.

PASSION (Shi et al. 2024, ``code/preprocessing/generate_imb_mr.py``): floor(N times the product of the rates) rows for each
pattern that holds something, at least one; the rows that are left are drawn modality by modality until they hold something
(``on_empty: redraw``); which row gets which pattern is drawn by lot. Here within each site.
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import PatternProductConfig
from fedmce.missingness.counts import counts
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.subsets import members


@mechanism("pattern_product")
def pattern_product(config: PatternProductConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide what each row's pattern lacks; rows that no pattern got lack everything, for ``on_empty`` to settle."""
    rates = config.named(view.modalities)
    keep = 1.0 - np.array(list(rates.values()))
    held = members(np.arange(1, 1 << len(keep)), len(keep))  # (patterns, modalities)
    weights = np.where(held, keep, 1.0 - keep).prod(axis=1)
    numbers = counts(weights, len(view.sample_ids), config.rounding, config.least)
    hidden, dealt = np.ones_like(view.available), view.lot("pattern-product")
    hidden[dealt[: numbers.sum()]] = ~np.repeat(held, numbers, axis=0)
    return hidden & view.available, rates
