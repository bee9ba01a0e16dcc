"""How a sensor goes wrong: pure functions on the samples of one site, split and modality.

All of them leave the number of holes as it is: a hole keeps its place, or moves with the value beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedmce.registry import registrar

Samples = npt.NDArray[np.float32]
Kind = Callable[[Samples, float, npt.NDArray[np.float64], np.random.Generator], Samples]
KINDS: dict[str, Kind] = {}
# samples (rows, *shape), level, standard deviation per entry, stream -> samples (rows, *shape)
kind = registrar(KINDS, "kind of degradation")


@kind("misaligned")
def misaligned(samples: Samples, level: float, spread: npt.NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Give each of the drawn rows the sample of another of them.

    Args:
        samples: ``(rows, *shape)``; NaN = hole, which moves with its sample.
        level: share of rows drawn, in (0, 1]; two at least, as one alone cannot be out of place.
        spread: not used.
        rng: stream of this site.

    Returns:
        ``(rows, *shape)``; no drawn row keeps its sample. A single row is left as it is.
    """
    out, rows = samples.copy(), len(samples)
    if rows < 2:
        return out
    # One cycle through the drawn rows in random order: no row is its own successor.
    drawn = rng.permutation(rows)[: max(2, _count(level, rows))]
    out[drawn] = samples[np.roll(drawn, 1)]
    return out


@kind("noise")
def noise(samples: Samples, level: float, spread: npt.NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Add Gaussian noise of ``level`` standard deviations.

    Args:
        samples: ``(rows, *shape)``; NaN = hole, which stays.
        level: in standard deviations of the modality.
        spread: standard deviation, broadcastable against one sample.
        rng: stream of this site.
    """
    return (samples + level * spread * rng.standard_normal(samples.shape)).astype(np.float32)


@kind("gain")
def gain(samples: Samples, level: float, spread: npt.NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Multiply row k of n by exp(level * k / (n - 1)), k from 0 in an order drawn by seed.

    The order is drawn because files are often sorted by class, so that a drift in file order would tell the label.

    Args:
        samples: ``(rows, *shape)``; NaN = hole, which stays.
        level: log of the factor of the last row.
        spread: not used.
        rng: stream of this site.
    """
    rows = len(samples)
    time = rng.permutation(rows) / max(rows - 1, 1) if rows > 1 else np.ones(rows)
    factor = np.exp(level * time).reshape(-1, *[1] * (samples.ndim - 1))
    return (samples * factor).astype(np.float32)


@kind("swap")
def swap(samples: Samples, level: float, spread: npt.NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Let channels change places in the drawn rows: each takes that of the next, the last that of the first.

    With one channel, and in vectors, the halves of the last axis change places.

    Args:
        samples: ``(rows, *shape)``; NaN = hole, which moves with its channel.
        level: share of rows drawn, in (0, 1]; one at least.
        spread: not used.
        rng: stream of this site.
    """
    out, rows = samples.copy(), len(samples)
    drawn = rng.permutation(rows)[: max(1, _count(level, rows))]
    by_channel = samples.ndim > 2 and samples.shape[1] > 1
    axis, by = (1, 1) if by_channel else (samples.ndim - 1, samples.shape[-1] // 2)
    out[drawn] = np.roll(samples[drawn], by, axis=axis)
    return out


def can_swap(shape: tuple[int, ...]) -> bool:
    """Whether a sample of this shape has two channels or a last axis of two entries."""
    return (len(shape) > 1 and shape[0] > 1) or shape[-1] > 1


def _count(level: float, rows: int) -> int:
    return min(rows, int(np.floor(level * rows + 0.5)))
