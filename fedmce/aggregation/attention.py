"""A state per site from all sites' states, by how alike their components are (FedMSplit).

Chen and Zhang, KDD 2022, rebuilt from a third-party reimplementation. For every component b

    A_b[k, l] = softmax over holders l of <theta_kb, theta_lb> / sqrt(size of b)
    s[k, l]   = sum_b A_b[k, l] / components that both hold       (A_b = 0 where either lacks b)
    theta'_kb = sum_l A_b[k, l] s[k, l] theta_lb / sum_l A_b[k, l] s[k, l].

Published with one encoder per modality and a head, where a pair of sites has 1 + |M_k and M_l| components in common.
Inner products grow with the size, so a large component is hardly shared: :func:`attention_mix` says how much is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = dict[str, npt.NDArray[np.float32]]
Component = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Mix:
    """States per component and site, and per component with several holders the mean weight that others have."""

    states: dict[str, dict[str, Floats]]
    others: dict[str, float]


def attention_mix(held: Mapping[str, Mapping[str, Component]]) -> Mix:
    """Mix the states of all holders of each component; what is mixed is never what another mixture reads.

    Args:
        held: component -> site -> its parameters; only sites that trained the component.
    """
    sites = sorted({site for by_site in held.values() for site in by_site})
    place = {site: number for number, site in enumerate(sites)}
    common, total = np.zeros((2, len(sites), len(sites)))
    attention = {}
    for component in sorted(held):
        at = np.ix_(*2 * [[place[site] for site in sorted(held[component])]])
        attention[component] = _attention(held[component])
        total[at] += attention[component]
        common[at] += 1
    similarity = total / np.maximum(common, 1)
    mix = Mix({}, {})
    for component, by_site in sorted(held.items()):
        names = sorted(by_site)
        at = np.ix_(*2 * [[place[site] for site in names]])
        raw = attention[component] * similarity[at]
        weight = raw / raw.sum(axis=1, keepdims=True)
        mix.states[component] = _mixed(by_site, names, weight)
        if len(names) > 1:
            mix.others[component] = float(1.0 - weight.diagonal().mean())
    return mix


def _attention(by_site: Mapping[str, Component]) -> npt.NDArray[np.float64]:
    """A_b over the holders in order of their names."""
    vectors = np.stack([_vector(by_site[site]) for site in sorted(by_site)])
    product = vectors @ vectors.T / np.sqrt(vectors.shape[1])
    powers = np.exp(product - product.max(axis=1, keepdims=True))
    found: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def _vector(component: Component) -> npt.NDArray[np.float64]:
    return np.concatenate([component[key].ravel() for key in sorted(component)]).astype(np.float64)


def _mixed(by_site: Mapping[str, Component], names: list[str], weight: npt.NDArray[np.float64]) -> dict[str, Floats]:
    found: dict[str, Floats] = {name: {} for name in names}
    for key in by_site[names[0]]:
        stacked = np.stack([by_site[name][key] for name in names]).astype(np.float64)
        mixed = np.tensordot(weight, stacked, axes=1).astype(np.float32)
        for number, name in enumerate(names):
            found[name][key] = np.asarray(mixed[number])
    return found
