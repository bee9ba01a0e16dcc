"""``mnar``: missing not at random in Rubin's sense (1976): the label, or the very value that is hidden, decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.missingness import MnarConfig
from fedmce.missingness.counts import each
from fedmce.missingness.logistic import normal, probabilities, standardised, summary
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism
from fedmce.streams import keyed_uniforms


@mechanism("mnar")
def mnar(config: MnarConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each row by its probability; their mean over the rows that recorded the modality is the rate."""
    rates = each(view, config.rate, config.rates)
    uniform, hidden = view.uniforms("missingness"), np.zeros_like(view.available)
    for column, modality in enumerate(view.modalities):
        held = view.available[:, column]
        score = summary(view, modality, config.summary) if config.by == "value" else _by_class(view, modality)
        chance = probabilities(score[held], config.slope, rates[modality])
        hidden[held, column] = uniform[held, column] < chance
    return hidden, rates


def _by_class(view: SiteView, modality: str) -> npt.NDArray[np.float64]:
    """A standing per class and modality, the same at every site, standardised over the site's rows, ``(rows,)``."""
    classes, place = np.unique(view.targets, return_inverse=True)
    keys = [str(target) for target in classes]
    standing = normal(keyed_uniforms(view.seed, "mnar-class", "", keys, [modality]))[:, 0]
    return standardised(standing[place], view.available[:, view.modalities.index(modality)])
