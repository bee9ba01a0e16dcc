"""``site_table``: the modalities that each site holds, as given (BLOSSOM, Harmony, FedMEMA, Local-Missing-FL).

``block_rows`` and ``block_modalities`` are ps and pm of Local-Missing-FL (github.com/nmduonggg/Local-Missing-FL): in each site
the first rows lose the same modalities out of those that it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedmce.config.missingness import SiteTableConfig
from fedmce.errors import ConfigError
from fedmce.missingness.chosen_sites import by_lot, leave
from fedmce.missingness.counts import count
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("site_table")
def site_table(config: SiteTableConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide whole modalities by the table, then the block of rows.

    Raises:
        ConfigError: ``in_order`` has more or fewer sets than there are training sites.
    """
    held = _held(config, view)
    hidden, rates = leave(view, held)
    rows = count(config.block_rows, len(view.sample_ids), config.rounding)
    lost = by_lot(held, view.seed, f"site-block/{view.site}")[
        : count(config.block_modalities, len(held), config.rounding)
    ]
    for modality in lost:
        hidden[view.order[:rows], view.modalities.index(modality)] = True
        rates[modality] = config.block_rows
    return hidden & view.available, rates


def _held(config: SiteTableConfig, view: SiteView) -> tuple[str, ...]:
    if view.site in config.sets:
        return names(config.sets[view.site], view.modalities)
    sites: Sequence[str] = view.training_sites
    if not config.in_order or view.site not in sites:
        return view.modalities
    if len(config.in_order) != len(sites):
        raise ConfigError(
            f"missingness.in_order: given {len(config.in_order)} sets; needed {len(sites)}, one for each site with "
            f"training rows"
        )
    if config.choose == "seed":
        sites = by_lot(sites, view.seed, "site-table")
    return names(config.in_order[sites.index(view.site)], view.modalities)


def names(given: Sequence[int | str], modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Modalities by name or number, as names in data set order."""
    wanted = {modalities[entry] if isinstance(entry, int) else entry for entry in given}
    return tuple(name for name in modalities if name in wanted)
