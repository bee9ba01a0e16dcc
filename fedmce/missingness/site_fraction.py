"""``site_fraction``: a share of the sites loses several modalities altogether.

FLISM (github.com/AdibaOrz/FLISM, ``utils/missing_utils.py``): ``int(p K)`` users are drawn without replacement; each loses
a number of modalities uniform in M // 2 .. M - 1, which are drawn uniformly without replacement, for the whole run.
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import SiteFractionConfig
from fedmce.missingness.chosen_sites import chosen_sites, leave
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.streams import keyed_uniforms


@mechanism("site_fraction")
def site_fraction(config: SiteFractionConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide whole modalities at the drawn sites; a site keeps one at least."""
    unlucky = chosen_sites(view.training_sites, config.share, view.seed, "site-fraction", config.rounding, least=0)
    if view.site not in unlucky:
        return leave(view, view.modalities)
    total = len(view.modalities)
    most = min(total - 1, total - 1 if config.most is None else config.most)
    least = min(most, total // 2 if config.least is None else config.least)
    number = keyed_uniforms(view.seed, "site-fraction-number", view.site, ["site"], ["lost"])[0, 0]
    lost = least + int(number * (most - least + 1))
    order = np.argsort(keyed_uniforms(view.seed, "site-fraction-which", view.site, ["site"], view.modalities)[0])
    return leave(view, [view.modalities[column] for column in order[lost:]])
