"""``bursty``: a sensor goes off and comes back, a two-state Markov chain over the rows in order of their ids.

With rate r and mean length L of a gap: a modality that is off comes back with probability 1/L per row, one that is on
goes off with r / ((1 - r) L); so the share of rows off is r and gaps are geometric with mean L (Gilbert 1960).
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import BurstyConfig
from fedmce.missingness.counts import each
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("bursty")
def bursty(config: BurstyConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each modality while its chain is off; the chain starts in its stationary state."""
    rates = each(view, config.rate, config.rates)
    uniform, hidden = view.uniforms("bursty"), np.zeros_like(view.available)
    for column, modality in enumerate(view.modalities):
        rate = rates[modality]
        back = 1.0 / config.mean_length if rate < 1 else 0.0
        goes = min(1.0, rate / (1.0 - rate) * back) if rate < 1 else 1.0
        off = None
        for row in view.order:
            draw = uniform[row, column]
            off = draw < rate if off is None else (draw >= back if off else draw < goes)
            hidden[row, column] = off
    return hidden & view.available, rates
