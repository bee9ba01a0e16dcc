"""``mcar``: one missing rate for every modality and site, completely at random."""

from __future__ import annotations

from fedmce.config.missingness import McarConfig
from fedmce.missingness.counts import each, hide_by_rates
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("mcar")
def mcar(config: McarConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each modality's rows at the shared rate, modality by modality."""
    rates = each(view, config.rate, {})
    return hide_by_rates(view, rates, config.draw, config.rounding), rates
