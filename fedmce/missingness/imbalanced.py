"""``imbalanced``: one missing rate per modality, the same at every site (MCAR).

With ``draw=exact`` and ``rounding=floor`` the mask of RedCore and MCE on IEMOCAP (``exact_count`` in the design notes),
per site; with ``draw=independent`` and ``on_empty=drop`` that of PmcmFL.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

from fedmce.config.missingness import ImbalancedConfig
from fedmce.missingness.counts import hide_by_rates
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@mechanism("imbalanced")
def imbalanced(config: ImbalancedConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide each modality's rows at its rate, exact count per site or row by row."""
    rates = config.named(view.modalities)
    if config.permuted:
        rates = dict(zip(view.modalities, nth_permutation(list(rates.values()), view.seed), strict=True))
    return hide_by_rates(view, rates, config.draw, config.rounding), rates


def nth_permutation(values: Sequence[float], number: int) -> list[float]:
    """Permutation number ``number`` modulo n!, in lexicographic order of places; 0 leaves everything as it is.

    >>> [nth_permutation([0.2, 0.5, 0.8], n) for n in (0, 1, 5, 6)]
    [[0.2, 0.5, 0.8], [0.2, 0.8, 0.5], [0.8, 0.5, 0.2], [0.2, 0.5, 0.8]]
    """
    left, found = list(values), []
    number %= factorial(len(left))
    while left:
        place, number = divmod(number, factorial(len(left) - 1))
        found.append(left.pop(place))
    return found
