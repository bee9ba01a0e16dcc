"""``site_bernoulli``: a site lacks each modality altogether with a probability.

FedMultimodal (Feng et al. 2023, github.com/usc-sail/fed-multimodal, ``simulation_manager.py``) draws one Bernoulli number
per client and modality: the client at place i of the partition file, which names ``test`` at 0 and ``dev`` at 1, seeds
numpy's old generator with i for the first modality and 2 i for the second.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedmce.config.missingness import SiteBernoulliConfig
from fedmce.missingness.chosen_sites import leave
from fedmce.missingness.counts import each
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.streams import keyed_uniforms

FIRST_PLACE = 2  # of a training client in FedMultimodal's partition file


def legacy_lacks(place: int, column: int, rate: float) -> bool:
    """Whether FedMultimodal's client at this place of its partition file lacks this modality.

    The source knows two modalities, seeds i and 2 i; a third goes on with 3 i.
    """
    old = np.random.RandomState(place * (column + 1))
    return bool(old.binomial(1, rate))


@mechanism("site_bernoulli")
def site_bernoulli(config: SiteBernoulliConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide whole modalities; what becomes of a site that lacks all is told by ``on_empty``."""
    rates = each(view, config.rate, config.rates)
    if config.seeding == "fedmultimodal":
        if view.site not in view.training_sites:
            return leave(view, view.modalities)  # `test` and `dev` are complete there
        place = view.training_sites.index(view.site) + FIRST_PLACE
        held = [m for column, m in enumerate(view.modalities) if not legacy_lacks(place, column, rates[m])]
    else:
        held = _drawn(view, rates, "site")
    if not held and config.on_empty != "drop":
        held = _restored(view, rates) if config.on_empty == "restore" else _redrawn(view, rates)
    return leave(view, held)


def _drawn(view: SiteView, rates: Mapping[str, float], key: str) -> list[str]:
    draws = keyed_uniforms(view.seed, "site-bernoulli", view.site, [key], view.modalities)[0]
    return [m for m, draw in zip(view.modalities, draws, strict=True) if draw >= rates[m]]


def _restored(view: SiteView, rates: Mapping[str, float]) -> list[str]:
    draw = keyed_uniforms(view.seed, "site-restore", view.site, ["site"], ["one"])[0, 0]
    keep = np.array([1 - rates[m] for m in view.modalities])
    keep = keep if keep.sum() > 0 else np.ones_like(keep)
    place = int(np.searchsorted(np.cumsum(keep / keep.sum()), draw, side="right").clip(max=len(keep) - 1))
    return [view.modalities[place]]


def _redrawn(view: SiteView, rates: Mapping[str, float]) -> list[str]:
    if all(rates[m] >= 1 for m in view.modalities):
        return _restored(view, rates)
    attempt = 0
    held: list[str] = []
    while not held:
        attempt += 1
        held = _drawn(view, rates, f"again {attempt}")
    return held
