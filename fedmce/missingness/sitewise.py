"""``sitewise``: one missing rate per site and modality; rate 1 = the site lacks the modality."""

from __future__ import annotations

from fedmce.config.missingness import SitewiseConfig
from fedmce.missingness.counts import hide_by_rates
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.streams import generator


def site_rates(config: SitewiseConfig, view: SiteView) -> Rates:
    """The missing rate of each modality at this site.

    Ranges are drawn from a stream of the site alone; then reversal, then holders, then the table.
    """
    names = view.modalities
    drawn: Rates = {}
    for modality in names:
        given = config.rates.get(modality, 0.0)
        if isinstance(given, tuple):
            share = generator(view.seed, "site-rate", view.site, modality).random()
            given = given[0] + (given[1] - given[0]) * share
        drawn[modality] = float(given)
    if _chosen(config.reversed_sites, view):
        drawn = dict(zip(names, reversed([drawn[m] for m in names]), strict=True))
    for modality, who in config.holders.items():
        if not _chosen(who, view):
            drawn[modality] = 1.0
    return drawn | config.table.get(view.site, {})


def _chosen(who: int | tuple[str, ...], view: SiteView) -> bool:
    return view.site in (view.site_order[:who] if isinstance(who, int) else who)


@mechanism("sitewise")
def sitewise(config: SitewiseConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each modality's rows at the site's own rate."""
    rates = site_rates(config, view)
    return hide_by_rates(view, rates, config.draw, config.rounding), rates
