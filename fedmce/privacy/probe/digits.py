"""Rows for the probe: the 1,797 handwritten digits that come with the package."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fedmce.data.av_digits import assets

SIDE, CLASSES = 8, 10


@lru_cache(maxsize=1)
def digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Images, 0 to 1, ``(1797, 64)``, and digits ``(1797,)``."""
    held = assets()
    return held["image"].reshape(-1, SIDE * SIDE).astype(np.float64) / 16.0, held["digit"].astype(np.int64)


def mean_image() -> npt.NDArray[np.float64]:
    """Mean of all images, ``(64,)``: what anybody knows of such data; a row is recovered if it is closer than that."""
    mean: npt.NDArray[np.float64] = digits()[0].mean(axis=0)
    return mean
