"""``rare``: one modality that few sites hold, such as a scanner that only two hospitals own."""

from __future__ import annotations

from fedmce.config.missingness import RareConfig
from fedmce.missingness.chosen_sites import chosen_sites
from fedmce.missingness.counts import each, hide_by_rates
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("rare")
def rare(config: RareConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide the rare modality wherever its holders are not, and the others at their rates."""
    holders = chosen_sites(
        view.training_sites, config.holders, view.seed, "rare-holders", config.rounding, config.choose == "first"
    )
    rates = each(view, config.others, {config.modality: 0.0} | config.rates)
    if view.site not in holders:
        rates[config.modality] = 1.0
    return hide_by_rates(view, rates, config.draw, config.rounding), rates
