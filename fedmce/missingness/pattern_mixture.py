"""``pattern_mixture``: a row is complete with a probability, else of any other pattern that holds something, all alike
(MFedNI).
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import PatternMixtureConfig
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.subsets import members


@mechanism("pattern_mixture")
def pattern_mixture(config: PatternMixtureConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide what the row's drawn pattern lacks."""
    total = len(view.modalities)
    full = (1 << total) - 1
    complete, which = view.uniforms("pattern-mixture", ["complete", "which"]).T
    codes = np.full(len(complete), full, dtype=np.int64)
    if total > 1:
        codes = np.where(complete < config.complete, full, 1 + (which * (full - 1)).astype(np.int64))
    # Of the full - 1 incomplete patterns, 2^(M-1) - 1 hold a given modality.
    lacking = (1 - config.complete) * (1 - ((1 << (total - 1)) - 1) / (full - 1)) if total > 1 else 0.0
    return view.available & ~members(codes, total), dict.fromkeys(view.modalities, lacking)
