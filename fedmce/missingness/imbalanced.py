"""``imbalanced``: one missing rate per modality, the same at every site (MCAR).

With ``draw=exact`` and ``rounding=floor`` the mask of RedCore and MCE on IEMOCAP (``exact_count`` in the design notes),
per site; with ``draw=independent`` and ``on_empty=drop`` that of PmcmFL.
"""

from __future__ import annotations

from fedmce.config.missingness import ImbalancedConfig
from fedmce.missingness.counts import hide_by_rates
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("imbalanced")
def imbalanced(config: ImbalancedConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each modality's rows at its rate, exact count per site or row by row."""
    rates = config.named(view.modalities)
    return hide_by_rates(view, rates, config.draw, config.rounding), rates
