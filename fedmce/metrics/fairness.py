"""How scores spread over sites, and what a site gains or a modality loses by taking part."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fedmce.metrics.robustness import Table, worst

Spread = dict[str, float | str | int | None]


def site_means(per_site: Mapping[str, Table]) -> dict[str, float | None]:
    """Mean of each site over the subsets that it can be scored on.

    Two sites may be scored on different subsets; the matrix of subsets and sites tells.
    """
    found: dict[str, float | None] = {}
    for site, table in per_site.items():
        known = [score for score in table.values() if score is not None]
        found[site] = sum(known) / len(known) if known else None
    return found


def spread(by_site: Table) -> Spread:
    """How even a score is over the sites that have one.

    Args:
        by_site: site -> score >= 0, or None.

    Returns:
        ``sites`` scored; ``mean``; ``sd`` over these sites (of the whole population: they are all there are);
        ``percentile_10`` (linear between sites); ``worst_decile``: mean of the lowest tenth of sites, rounded
        up; ``worst`` and ``worst_site``; ``jain`` = (sum x)^2 / (n sum x^2), 1 if all are equal, 1/n if one
        site has all. All None without a scored site; ``jain`` also where all scores are 0.

    Source: ``jain``: Jain, Chiu and Hawe, "A quantitative measure of fairness", DEC TR-301, 1984.
    """
    known = np.sort(np.array([score for score in by_site.values() if score is not None], dtype=np.float64))
    name, lowest = worst(by_site)
    found: Spread = dict.fromkeys(("mean", "sd", "percentile_10", "worst_decile", "jain"))
    found |= {"sites": len(known), "worst": lowest, "worst_site": name}
    if not len(known):
        return found
    squares = float(np.square(known).sum())
    return found | {
        "mean": float(known.mean()),
        "sd": float(known.std()),
        "percentile_10": float(np.percentile(known, 10)),
        "worst_decile": float(known[: math.ceil(len(known) / 10)].mean()),
        "jain": float(known.sum()) ** 2 / (len(known) * squares) if squares else None,
    }


def gain(federated: Table, alone: Table) -> tuple[dict[str, float | None], float | None]:
    """Benefit of joining: score of the federated model minus that of the site's own model, site by site.

    Args:
        federated: site -> score, each row with what it has (``as_available``).
        alone: the same of a local-only run.

    Returns:
        Site -> gain for the sites of either; and the share of sites with a gain below 0. None where one of
        both scores is missing, and where no site has a gain.

    >>> gain({"x": 0.75, "y": 0.5}, {"x": 0.5, "y": 0.75, "z": 0.1})
    ({'x': 0.25, 'y': -0.25, 'z': None}, 0.5)
    """
    gains: dict[str, float | None] = {}
    for site in sorted({*federated, *alone}):
        ours, own = federated.get(site), alone.get(site)
        gains[site] = None if ours is None or own is None else ours - own
    known = [g for g in gains.values() if g is not None]
    return gains, sum(g < 0 for g in known) / len(known) if known else None


def unimodal_gap(per_subset: Table, alone: Mapping[str, Table]) -> dict[str, float | None]:
    """P({m}) of the federated model minus P({m}) of a unimodal federation of m's holders.

    Below 0: training with the others starves m, which is the diagnosis of MCE.

    Args:
        per_subset: of the multimodal run.
        alone: modality -> ``per_subset`` of the run that trained it alone.
    """
    found: dict[str, float | None] = {}
    for modality, table in alone.items():
        ours, own = per_subset.get(modality), table.get(modality)
        found[modality] = None if ours is None or own is None else ours - own
    return found
