"""``mar``: missing at random in Rubin's sense (1976): what decides stays visible.

Row by row a modality that is never hidden decides, by a logistic curve in its standardised summary; or the site does, by
a standing of its own.
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import MarConfig
from fedmce.missingness.counts import each, hide_by_rates
from fedmce.missingness.logistic import probabilities, site_probability, summary
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("mar")
def mar(config: MarConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each row by its probability; their mean at the site (over sites, with ``by=null``) is the rate."""
    rates = each(view, config.rate, config.rates)
    if config.by is None:
        here = {
            m: site_probability(view.seed, "mar-site", view.site, m, config.slope, rate) for m, rate in rates.items()
        }
        return hide_by_rates(view, here, "independent"), here
    rates[config.by] = 0.0
    score = summary(view, config.by, config.summary)
    chance = np.stack([probabilities(score, config.slope, rates[m]) for m in view.modalities], axis=1)
    return view.available & (view.uniforms("missingness") < chance), rates
