"""Counts that hold over the rows of all sites together, dealt to one site from the sites' sizes alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedmce.streams import generator


def deal_to_sites(
    parts: npt.NDArray[np.int64], sizes: Mapping[str, int], site: str, seed: int, purpose: str
) -> npt.NDArray[np.int64]:
    """How many rows of each part lie at one site, if all rows of all sites were dealt to the parts by lot.

    Every caller with the same sizes finds the same deal, so the parts add up over the sites without anybody having
    seen another site's rows. The order of sites does not matter.

    Args:
        parts: rows of each part over all sites, ``(parts,)``; no more in all than there are rows.
        sizes: rows of each site.
        site: whose share is wanted.
        seed: root seed.
        purpose: name of the draw.

    Returns:
        int64 ``(parts,)``.
    """
    order = sorted(sizes)
    left = np.array([sizes[name] for name in order], dtype=np.int64)
    rng, here = generator(seed, "deal", purpose), order.index(site)
    found = np.zeros(len(parts), dtype=np.int64)
    for part, number in enumerate(parts):
        drawn = rng.multivariate_hypergeometric(left, int(number), method="marginals")
        left -= drawn
        found[part] = drawn[here]
    return found
