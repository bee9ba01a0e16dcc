"""Groups of sites by how far their encoders moved, and the mean of a component in each group (Harmony).

Ouyang et al., MobiSys 2023: distances are divided by the largest per modality, k-means on the sites' rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedmce.aggregation.mean import weighted_mean

Floats = dict[str, npt.NDArray[np.float32]]
MOST_STEPS = 100


def relative_distances(distances: Mapping[str, npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
    """D / max over sites, per modality; rows in order of the names of sites.

    Args:
        distances: per site ``(modalities,)``; negative where the site lacks the modality: the mean of those that
            hold it then stands in, so that it says nothing. A modality that moved nowhere is 0 everywhere.
    """
    raw = np.array([distances[site] for site in sorted(distances)], dtype=np.float64)
    held = raw >= 0
    mean = np.where(held, raw, 0.0).sum(axis=0) / np.maximum(held.sum(axis=0), 1)
    filled = np.where(held, raw, mean)
    largest = filled.max(axis=0)
    relative: npt.NDArray[np.float64] = filled / np.where(largest > 0, largest, 1.0)
    return relative


def k_means(points: npt.NDArray[np.float64], count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Labels of Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii 2007), ``(points,)``.

    Args:
        points: ``(points, axes)``.
        count: clusters at most; one that loses its last point is gone.
        generator: draws the seeds.
    """
    centres = points[[generator.integers(len(points))]]
    while len(centres) < count:
        away = _squares(points, centres).min(axis=1)
        if not away.any():
            break  # fewer different points than clusters
        centres = np.vstack([centres, points[generator.choice(len(points), p=away / away.sum())]])
    labels = _squares(points, centres).argmin(axis=1)
    for _ in range(MOST_STEPS):
        centres = np.stack([points[labels == label].mean(axis=0) for label in np.unique(labels)])
        fresh = _squares(points, centres).argmin(axis=1)
        if np.array_equal(fresh, labels):
            break
        labels = fresh
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def cluster_means(
    states: Mapping[str, Mapping[str, npt.NDArray[np.float32]]], labels: Mapping[str, int]
) -> dict[str, Floats]:
    """Uniform means inside each cluster, each parameter over the members that have it.

    Args:
        states: what each site trained; sites with other modalities have other parameters.
        labels: cluster of each site, those without a state included.

    Returns:
        State per site: that of its cluster. A cluster of which nobody has a state gives nothing.
    """
    found: dict[str, Floats] = {}
    for label in sorted(set(labels.values())):
        members = [site for site in sorted(labels) if labels[site] == label]
        heard = {site: states[site] for site in members if site in states}
        mean: Floats = {}
        for key in sorted({key for state in heard.values() for key in state}):
            parts = {site: {key: state[key]} for site, state in heard.items() if key in state}
            mean |= weighted_mean(parts, dict.fromkeys(parts, 1.0))
        if heard:
            found |= dict.fromkeys(members, mean)
    return found


def _squares(points: npt.NDArray[np.float64], centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    return found
