"""Prototypes of the federation: class means of a site's tokens, and their mean over sites."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedmce.config.baselines import PrototypesConfig
from fedmce.models import NetworkSpec, State, component_of, modality_of
from fedmce.objectives.objective import Arrays
from fedmce.objectives.shared import Said, Shapes, shared

PROTOTYPE, SHARE, KNOWN = "prototype/", "share/", "known/"


def class_means(
    token: npt.NDArray[np.float64], target: npt.NDArray[np.int64], classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum over rows of each class divided by its rows, ``(classes, size)``, zeros where there are none, and the rows."""
    total = np.zeros((classes, token.shape[1]))
    np.add.at(total, target, token)
    rows = np.bincount(target, minlength=classes)
    return total / np.maximum(rows, 1)[:, None], rows


class Prototypes:
    """The server's prototypes: ``prototype/<m>`` ``(classes, width)``, ``known/<m>`` ``(classes,)`` 0 or 1."""

    def initial(self, config: PrototypesConfig, spec: NetworkSpec, model: State) -> Arrays:
        """None are known: nothing is random, so nothing random enters a mean."""
        classes = len(spec.classes)
        arrays = {PROTOTYPE + m: np.zeros((classes, spec.width), np.float32) for m in spec.names}
        return arrays | {KNOWN + m: np.zeros(classes, np.float32) for m in spec.names}

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """All: a site learns from the prototypes of modalities that it lacks."""
        return dict(arrays)

    def told(self, config: PrototypesConfig, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """Means and shares of classes of the modalities that the site holds."""
        held = {modality_of(component_of(key)) for key in granted}
        classes = len(spec.classes)
        shapes: Shapes = {PROTOTYPE + m: (classes, spec.width) for m in spec.names if m in held}
        return shapes | {SHARE + m: (classes,) for m in spec.names if m in held}

    def merge(
        self,
        config: PrototypesConfig,
        spec: NetworkSpec,
        arrays: Arrays,
        said: Mapping[str, Said],
        holders: Mapping[str, int],
    ) -> Arrays:
        """Means by rows; rows of the encoder times told shares, so that no site can claim more rows than it has."""
        merged = dict(arrays)
        for name in spec.names:
            total = np.zeros((len(spec.classes), spec.width))
            rows = np.zeros(len(spec.classes))
            for site in sorted(said):
                if PROTOTYPE + name not in said[site].arrays:
                    continue
                own = np.clip(said[site].arrays[SHARE + name].astype(np.float64), 0, 1)
                own = own * said[site].rows.get(f"encoder.{name}", 0)
                total += own[:, None] * said[site].arrays[PROTOTYPE + name]
                rows += own
            known = rows > 0
            mean = np.where(known[:, None], total / np.where(known, rows, 1.0)[:, None], arrays[PROTOTYPE + name])
            merged[PROTOTYPE + name] = mean.astype(np.float32)
            merged[KNOWN + name] = np.maximum(arrays[KNOWN + name], known.astype(np.float32))
        return merged


shared("prototypes")(Prototypes())
