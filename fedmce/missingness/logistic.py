"""Missing with a probability that depends on something: a logistic curve whose mean is the rate that was asked for."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from fedmce.missingness.mechanism import SiteView

Floats = npt.NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(64)  # of the normal distribution


def probabilities(score: Floats, slope: float, rate: float, weights: Floats | None = None) -> Floats:
    """Probability of missing per row: ``1 / (1 + exp(-(a + slope * score)))`` with the ``a`` that makes the mean the rate.

    Args:
        score: what decides, standardised, ``(rows,)``.
        slope: log odds per unit of score.
        rate: mean of the probabilities, in [0, 1].
        weights: of the rows in the mean; default alike.

    Returns:
        float64 ``(rows,)``; their weighted mean is the rate to 1e-12.
    """
    if len(score) == 0 or rate in (0.0, 1.0):
        return np.full(len(score), rate)
    shares = np.ones(len(score)) if weights is None else weights
    shares = shares / shares.sum()
    low, high = -50.0 - abs(slope) * np.abs(score).max(), 50.0 + abs(slope) * np.abs(score).max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if shares @ _sigmoid(middle + slope * score) < rate else (low, middle)
    return _sigmoid((low + high) / 2 + slope * score)


def site_probability(seed: int, purpose: str, site: str, modality: str, slope: float, rate: float) -> float:
    """Probability of missing at a site whose own standing is drawn from the normal distribution by its name.

    The mean over all sites that there could be is the rate, so no other site is needed to find it.
    """
    from fedmce.streams import keyed_uniforms

    standing = float(normal(keyed_uniforms(seed, purpose, site, ["site"], [modality]))[0, 0])
    scores = np.append(NODES, standing)
    return float(probabilities(scores, slope, rate, np.append(WEIGHTS, 0.0))[-1])


def normal(uniform: Floats) -> Floats:
    """Standard normal numbers from uniform ones, of the same shape."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(u, 1e-12), 1 - 1e-12)) for u in uniform.ravel()]).reshape(uniform.shape)


def standardised(score: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Scores of the known rows with mean 0 and standard deviation 1, and 0 for the others, ``(rows,)``."""
    found = np.zeros(len(score))
    if known.any():
        spread = score[known].std()
        found[known] = (score[known] - score[known].mean()) / spread if spread > 0 else 0.0
    return found


def summary(view: SiteView, modality: str, how: str) -> Floats:
    """One standardised number per row from the values of a modality, ``(rows,)``; 0 where a row recorded none.

    Values behind the natural gaps are never read; holes inside a recorded sample are left out.

    Args:
        view: the site.
        modality: whose values.
        how: ``mean`` or ``spread`` (standard deviation) of a row's entries.
    """
    column = view.modalities.index(modality)
    score, known = np.zeros(len(view.sample_ids)), view.available[:, column].copy()
    values = view.values(modality)
    for row in np.flatnonzero(known):
        entries = values[row][~np.isnan(values[row])].astype(np.float64)
        known[row] = len(entries) > 0
        if known[row]:
            score[row] = entries.mean() if how == "mean" else entries.std()
    return standardised(score, known)


def _sigmoid(x: Floats) -> Floats:
    found: Floats = np.exp(-np.logaddexp(0.0, -x))
    return found
