"""Do all modalities matter, and do all learn? Equity of contributions, imbalance of updates.

MissBench names both aims (modality equity, modality learning imbalance); its formulas were not readable,
so these are ours and compare only with themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

ENCODER = "encoder."
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
Arrays = Mapping[str, npt.NDArray[np.float32]]


def gini(values: Sequence[float]) -> float | None:
    """Gini coefficient of numbers >= 0: sum over pairs |a - b| / (2 n^2 mean); None if all are 0 or there are none.

    0 if all are equal, (n - 1)/n if one has everything.

    >>> gini([1.0, 3.0])
    0.25
    """
    total = sum(values)
    if not total:
        return None
    return sum(abs(a - b) for a in values for b in values) / (2 * len(values) * total)


def equity(contributions: Mapping[str, float | None]) -> dict[str, float | None]:
    """How evenly the modalities contribute, from max(phi_m, 0).

    Args:
        contributions: modality -> phi_m; a modality without one (no row holds it) takes no part.

    Returns:
        ``gini``: 1 - Gini coefficient, from 1/M (one modality does everything) to 1 (all alike);
        ``entropy``: entropy of the shares / log M, from 0 to 1. None for fewer than two modalities or if
        none contributes.
    """
    positive = [max(phi, 0.0) for phi in contributions.values() if phi is not None]
    total, uneven = sum(positive), gini(positive)
    if uneven is None or len(positive) < 2:
        return {"gini": None, "entropy": None}
    shares = [share for p in positive if (share := p / total) > 0]  # what is next to nothing has a share of 0
    entropy = -sum(share * math.log(share) for share in shares) / math.log(len(positive))
    return {"gini": 1 - uneven, "entropy": max(entropy, 0.0)}


def update_sizes(received: Arrays, returned: Arrays) -> dict[str, float]:
    """How far a site moved each encoder in one round: norm(update) / sqrt(number of parameters).

    Args:
        received: the model that the site was given, ``<component>/<parameter> -> array``; may hold more.
        returned: what it gave back.

    Returns:
        Modality -> root mean square of the change per parameter. An encoder that no step moved is left out: the
        site did not train it.
    """
    squares: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for key, value in sorted(returned.items()):
        component = key.partition("/")[0]
        # Running statistics are no parameters: they move without a gradient, and some count batches.
        if not component.startswith(ENCODER) or key.rpartition(".")[2] in RUNNING:
            continue
        modality = component.removeprefix(ENCODER)
        change = np.asarray(value, np.float64) - np.asarray(received[key], np.float64)
        squares[modality] = squares.get(modality, 0.0) + float(np.square(change).sum())
        sizes[modality] = sizes.get(modality, 0) + change.size
    return {m: math.sqrt(total / sizes[m]) for m, total in squares.items() if total > 0}


def learning_imbalance(rounds: Iterable[Mapping[str, Mapping[str, float]]]) -> tuple[dict[str, float], float | None]:
    """Whether some encoders are moved much more than others.

    Args:
        rounds: per round, site -> modality -> :func:`update_sizes`.

    Returns:
        g_m: mean over rounds and holders; and the coefficient of variation (sd / mean) of g_m over modalities, 0
        if all move alike; None for fewer than two modalities.
    """
    seen: dict[str, list[float]] = {}
    for sites in rounds:
        for sizes in sites.values():
            for modality, size in sizes.items():
                seen.setdefault(modality, []).append(size)
    mean = {modality: sum(sizes) / len(sizes) for modality, sizes in sorted(seen.items())}
    if len(mean) < 2:
        return mean, None
    g = np.array(list(mean.values()))
    return mean, float(g.std() / g.mean())
