"""``nested``: some rows of each class hold one modality, and a larger number contains the smaller.

SMIL and MCE on digits: images are always there; sound is held by the first n recordings per class in file order, the
same number of each speaker. Sites are the speakers, so n here counts per site.
"""

from __future__ import annotations

import numpy as np

from fedmce.config.missingness import NestedConfig
from fedmce.missingness.counts import count
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


def digits_per_class(percent: int) -> int:
    """MCE's number of sounds per class out of 105 for a share in percent: ``int(1.05 percent)`` up to a multiple of 3.

    >>> [digits_per_class(10 * tenth) for tenth in range(1, 11)]
    [12, 21, 33, 42, 54, 63, 75, 84, 96, 105]
    """
    return -(-(105 * percent // 100) // 3) * 3


@mechanism("nested")
def nested(config: NestedConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide the modality in all but the first rows of each class.

    In validation, of which a class has other numbers, the share that training rows hold is held.
    """
    hidden = np.zeros_like(view.available)
    column = view.modalities.index(config.modality)
    order = view.order if config.order == "file" else view.lot("nested")
    per_class = config.by_site.get(view.site, config.per_class)
    kept = 0
    for target in np.unique(view.targets):
        rows = order[view.targets[order] == target]
        rows = rows[view.available[rows, column]]
        hold = _hold(config, view, per_class, int(target), len(rows))
        hidden[rows[hold:], column] = True
        kept += hold
    held = int(view.available[:, column].sum())
    rates = dict.fromkeys(view.modalities, 0.0) | {config.modality: 1 - kept / held if held else 0.0}
    return hidden, rates


def _hold(config: NestedConfig, view: SiteView, per_class: int | None, target: int, rows: int) -> int:
    if per_class is None:
        assert config.share is not None
        return count(config.share, rows, config.rounding)
    if view.split == "train":
        return min(per_class, rows)
    trained = view.class_rows(target, "train")
    return count(min(1.0, per_class / trained), rows, config.rounding) if trained else min(per_class, rows)
