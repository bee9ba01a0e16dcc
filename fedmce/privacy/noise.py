"""Noise that a site adds by itself, against everybody, the server included; no epsilon is claimed for it.

A component's change is cut to a length and every weight gets Gaussian noise, so that no unit of a first layer stands
out with a row. The generator is seeded by the operating system: noise that follows from the run's seed could be taken
off again by whoever knows the seed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fedmce.config.privacy import PrivacyConfig
from fedmce.models import State

Draw = Callable[[], np.random.Generator]
PROBED = 2410  # weights of the network on which clip and noise were measured (docs/privacy.md)


def fresh() -> np.random.Generator:
    """A generator that nobody can draw again."""
    return np.random.Generator(np.random.Philox(secrets.randbits(128)))


_DRAW: Draw = fresh  # tests put a known one here


def norm_scale(change: Mapping[str, np.ndarray]) -> float:
    """Unit of ``noise_clip``: 1 for a component of the measured size, and the same length per weight for any other."""
    return sqrt(sum(value.size for value in change.values()) / PROBED)


@dataclass(frozen=True)
class Noised:
    """A component as it leaves the site.

    Attributes:
        state: received values plus cut change plus noise.
        norm: length of the change before it was cut.
        cut: factor that the change was multiplied with, 1 or less.
    """

    state: State
    norm: float
    cut: float


def noised(received: State, trained: State, floors: PrivacyConfig, draw: Draw | None = None) -> Noised:
    """Cut the change of one component to ``noise_clip`` norm scales and add noise of ``noise_sd`` to every weight.

    Args:
        received: the component as it was sent to the site, by key.
        trained: as local training left it, same keys.
        floors: length and standard deviation.
        draw: makes the generator; default :func:`fresh`.
    """
    generator = (draw or _DRAW)()
    change = {key: trained[key].astype(np.float64) - received[key] for key in sorted(trained)}
    norm = length(change)
    limit = floors.noise_clip * norm_scale(change)
    cut = min(1.0, limit / norm) if norm > 0 else 1.0
    state = {
        key: (received[key] + cut * value + floors.noise_sd * generator.standard_normal(value.shape)).astype(np.float32)
        for key, value in change.items()
    }
    return Noised(state, norm, cut)


def length(change: Mapping[str, np.ndarray]) -> float:
    """Euclidean length of a change over all its arrays."""
    return sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in change.values()))
