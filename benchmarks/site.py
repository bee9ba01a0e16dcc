"""A made-up site that the step benchmarks train on: images of noise, each modality missing in 30 % of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fedmce.config.schema import MceConfig, TaskObjectiveConfig
from fedmce.data import Modality
from fedmce.missingness import ObservedRows
from fedmce.models import MultimodalNet, NetworkSpec, Statistics
from fedmce.objectives import OBJECTIVES, Objective, SiteFacts
from fedmce.training import DeviceRows

SHAPE, CLASSES, MISSING = (1, 28, 28), tuple("0123456789"), 0.3


@dataclass(frozen=True)
class BenchSite:
    """Rows, network and facts of a site."""

    rows: DeviceRows
    spec: NetworkSpec
    facts: SiteFacts

    def network(self) -> MultimodalNet:
        """A fresh network, on the device of the rows."""
        return MultimodalNet(self.spec).to(self.rows.device)

    def objective(self, config: MceConfig | TaskObjectiveConfig) -> Objective:
        """A fresh objective."""
        return OBJECTIVES[config.name](config, self.facts, np.random.default_rng(0))


def make_site(
    modalities: int, rows: int, missing: float = MISSING, shape: tuple[int, ...] = SHAPE, device: str = "cpu"
) -> BenchSite:
    """Rows of images, 10 classes, small conv encoders, tokens of 32, all heads.

    Args:
        modalities: how many.
        rows: how many.
        missing: share of each modality's samples that is missing; a row left with nothing keeps the first.
        shape: of an image; 28 x 28 unless told.
        device: where rows and networks are.
    """
    rng = np.random.default_rng(modalities)
    kinds = tuple(Modality(f"m{i}", "image", shape, "none", (0, 1, 2)) for i in range(modalities))
    names = tuple(m.name for m in kinds)
    available = rng.random((rows, modalities)) >= missing
    available[~available.any(axis=1), 0] = True
    held = {n: int(available[:, i].sum()) for i, n in enumerate(names)}
    values = {n: rng.standard_normal((held[n], *shape), dtype=np.float32) for n in names}
    slot = np.where(available, np.cumsum(available, axis=0) - 1, -1)
    targets = rng.integers(0, len(CLASSES), rows)
    observed = ObservedRows("site", tuple(map(str, range(rows))), targets, available, values, slot)
    scale = Statistics(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32))
    spec = NetworkSpec(kinds, CLASSES, ("conv_image",) * modalities, 32, 32, "residual", "skip", True, True)
    facts = SiteFacts(
        names, rows, held, rows, held, {}, class_rows=tuple(np.bincount(targets, minlength=len(CLASSES)).tolist())
    )
    return BenchSite(DeviceRows(observed, dict.fromkeys(names, scale), names, torch.device(device)), spec, facts)
