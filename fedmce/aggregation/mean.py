"""Weighted mean of one component over its holders, the same to the bit whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.float32]]


def weighted_mean(states: Mapping[str, Arrays], weights: Mapping[str, float]) -> dict[str, npt.NDArray[np.float32]]:
    """theta_c = sum_k w_kc theta_kc / sum_k w_kc, in float64, sites added in order of their names.

    Args:
        states: the component of each holder: site -> parameter -> array, equal keys and shapes.
        weights: weight per holder, positive.

    Returns:
        parameter -> float32 array. With a single holder its arrays, bitwise.
    """
    sites = sorted(states)
    if len(sites) == 1:
        return {key: np.array(value, dtype=np.float32) for key, value in states[sites[0]].items()}
    total = sum(weights[site] for site in sites)
    mean = {}
    for key in states[sites[0]]:
        summed = np.zeros(states[sites[0]][key].shape, dtype=np.float64)
        for site in sites:
            summed += weights[site] * states[site][key].astype(np.float64)
        mean[key] = np.asarray(summed / total, dtype=np.float32)  # a count of one entry stays an array
    return mean
