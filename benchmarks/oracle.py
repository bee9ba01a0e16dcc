"""What vectorising saves: the readable twin of the tests, row by row, against the step of the package.

Both compute the same loss of the same batch (:mod:`tests.oracles.mce_rows` is what the package is tested
against), its gradients and a step of the optimiser.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.repeats import median_ratio
from benchmarks.row import Figure
from benchmarks.site import make_site
from fedmce.config.schema import MceConfig, TrainingConfig
from fedmce.models import MultimodalNet
from fedmce.training.local import make_optimiser

BATCH, MODALITIES, REPEATS, GOAL = 128, 3, 5, 20.0


def _learn(net: MultimodalNet, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def oracle_ratio(batch_size: int = BATCH) -> list[Figure]:
    """Per-row loop / vectorised step, M = 3, small conv encoders, 30 % missing."""
    from tests.oracles.mce_rows import MceTwin, rows_in

    site, config = make_site(MODALITIES, batch_size), MceConfig()
    net = site.network().train()
    optimiser = make_optimiser(net, TrainingConfig(), 1e-3)
    objective, twin = site.objective(config), MceTwin(config, site.facts)
    batch, available = site.rows.batch(np.arange(batch_size))
    by_row = rows_in(batch)
    learn = partial(_learn, net, optimiser)
    ratio = median_ratio(
        lambda: learn(twin.loss(net, by_row)), lambda: learn(objective(net, batch, available).total), REPEATS
    )
    return [Figure(f"per-row loop / vectorised step, {MODALITIES} modalities", ratio, "ratio", GOAL, at_least=True)]
