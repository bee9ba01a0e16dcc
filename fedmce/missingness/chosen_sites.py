"""Which sites of a data set a rule applies to: some of them drawn by seed, the first ones, or the named ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedmce.streams import stream_seed


def chosen_sites(
    sites: Sequence[str], who: int | float | tuple[str, ...], seed: int, purpose: str, *, first: bool = False
) -> frozenset[str]:
    """The sites that are meant.

    Every site has a number of its own, drawn by its name, and those with the lowest are taken: the order of
    sites moves nothing, and a site more moves the choice by one site at most.

    Args:
        sites: those to choose from, in data set order.
        who: how many; which share of them, below 1 (halves round up, at least one); or their names.
        seed: root seed.
        purpose: name of the draw.
        first: take the first in data set order instead of drawing.

    Returns:
        Names; never more than there are.
    """
    if isinstance(who, tuple):
        return frozenset(who)
    count = who if isinstance(who, int) else max(1, math.floor(who * len(sites) + 0.5))
    ranked = list(sites) if first else sorted(sites, key=lambda site: (stream_seed(seed, purpose, site), site))
    return frozenset(ranked[:count])
