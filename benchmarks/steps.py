"""Cost of an MCE step against a plain multimodal step with the same encoders, in one process.

The two kinds of local training alternate, so a machine that slows down slows both; the figure is the
median of the ratios of neighbours.
"""

from __future__ import annotations

import statistics
import time
from functools import partial

import numpy as np
import torch

from benchmarks.row import BenchRow, row
from fedmce.config.schema import MceConfig, TaskObjectiveConfig, TrainingConfig
from fedmce.data import Modality
from fedmce.missingness import ObservedRows
from fedmce.models import MultimodalNet, NetworkSpec, Statistics
from fedmce.objectives import OBJECTIVES, SiteFacts
from fedmce.training import DeviceRows, train_locally

ROWS, BATCH, REPEATS, MISSING = 512, 128, 7, 0.3
GOALS = {2: 1.4, 3: 1.4, 4: 1.8}


def _site(modalities: int) -> tuple[DeviceRows, NetworkSpec, SiteFacts]:
    rng = np.random.default_rng(modalities)
    kinds = tuple(Modality(f"m{i}", "image", (1, 28, 28), "none", (0, 1, 2)) for i in range(modalities))
    available = rng.random((ROWS, modalities)) >= MISSING
    available[~available.any(axis=1), 0] = True
    values = {
        m.name: rng.standard_normal((int(available[:, i].sum()), *m.shape), dtype=np.float32)
        for i, m in enumerate(kinds)
    }
    slot = np.where(available, np.cumsum(available, axis=0) - 1, -1)
    names = tuple(m.name for m in kinds)
    rows = ObservedRows("site", tuple(map(str, range(ROWS))), rng.integers(0, 10, ROWS), available, values, slot)
    scale = Statistics(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32))
    spec = NetworkSpec(kinds, tuple("0123456789"), ("conv_image",) * modalities, 32, 32, "residual", "skip", True, True)
    held = {n: int(available[:, i].sum()) for i, n in enumerate(names)}
    return (
        DeviceRows(rows, dict.fromkeys(names, scale), names, torch.device("cpu")),
        spec,
        SiteFacts(names, ROWS, held, ROWS, held, {}),
    )


def _seconds(net: MultimodalNet, rows: DeviceRows, facts: SiteFacts, config: MceConfig | TaskObjectiveConfig) -> float:
    training = TrainingConfig(local_epochs=1, batch_size=BATCH)
    objective = OBJECTIVES[config.name](config, facts, np.random.default_rng(0))
    began = time.perf_counter()
    train_locally(net, rows, objective, training, lr=1e-3, order=np.random.default_rng(0))
    return time.perf_counter() - began


def step_ratio() -> list[BenchRow]:
    """MCE step / plain step, B = 128, small conv encoders on 28 x 28 images, 30 % missing."""
    torch.set_num_threads(1)
    found = []
    for modalities, goal in GOALS.items():
        rows, spec, facts = _site(modalities)
        run = partial(_seconds, MultimodalNet(spec), rows, facts)
        plain, full = TaskObjectiveConfig(), MceConfig()
        run(plain), run(full)
        ratios = [run(full) / run(plain) for _ in range(REPEATS)]
        found.append(row(f"MCE step / plain step, {modalities} modalities", statistics.median(ratios), "ratio", goal))
    return found
