"""Rules about sites: which ones are meant, and what a site is left with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from fedmce.missingness.counts import count
from fedmce.missingness.mechanism import Hidden, Rates, SiteView
from fedmce.streams import stream_seed


def chosen_sites(
    sites: Sequence[str],
    who: int | float | tuple[str, ...],
    seed: int,
    purpose: str,
    rounding: str = "nearest",
    first: bool = False,
    least: int = 1,
) -> frozenset[str]:
    """The sites that are meant.

    Every site has a number of its own, drawn by its name, and those with the lowest are taken: the order of
    sites moves nothing, and a site more moves the choice by one site at most.

    Args:
        sites: those to choose from, in data set order.
        who: how many; which share of them; or their names.
        seed: root seed.
        purpose: name of the draw.
        rounding: of a share.
        first: take the first in data set order instead of drawing.
        least: sites that a share means at least.

    Returns:
        Names; never more than there are.
    """
    if isinstance(who, tuple):
        return frozenset(who)
    number = who if isinstance(who, int) else max(least, count(who, len(sites), rounding))
    ranked = list(sites) if first else by_lot(sites, seed, purpose)
    return frozenset(ranked[:number])


def by_lot(sites: Sequence[str], seed: int, purpose: str) -> list[str]:
    """The sites in an order by lot that depends on their names alone."""
    return sorted(sites, key=lambda site: (stream_seed(seed, purpose, site), site))


def leave(view: SiteView, held: Collection[str]) -> tuple[Hidden, Rates]:
    """Hide at this site, in all rows, what it does not hold; the rates are 0 and 1."""
    lost = np.array([name not in held for name in view.modalities], dtype=bool)
    return view.available & lost, {m: float(gone) for m, gone in zip(view.modalities, lost, strict=True)}
