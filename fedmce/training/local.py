"""Local training: a few epochs of one objective on one site's rows."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch

from fedmce.config.schema import TrainingConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import Objective
from fedmce.training.device_rows import DeviceRows


@dataclass(frozen=True)
class TrainingReport:
    """Steps taken, mean of each named loss over the steps, seconds spent."""

    steps: int
    losses: dict[str, float]
    seconds: float


def learning_rate(config: TrainingConfig, round_number: int, rounds: int) -> float:
    """Step size in a round (1-based): cosine from ``lr`` down to ``final_lr_share * lr``."""
    progress = (round_number - 1) / max(rounds - 1, 1)
    share = config.final_lr_share + (1 - config.final_lr_share) * 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * share


def make_optimiser(net: MultimodalNet, config: TrainingConfig, lr: float) -> torch.optim.Optimizer:
    """A fresh optimiser; sites carry no optimiser state from round to round."""
    if config.optimiser == "sgd":
        # Not fused: that one fails where some parameters have momentum and others meet their first gradient.
        return torch.optim.SGD(
            net.parameters(), lr=lr, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True
        )
    return torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=config.weight_decay, fused=True)


def train_locally(
    net: MultimodalNet,
    rows: DeviceRows,
    objective: Objective,
    config: TrainingConfig,
    *,
    lr: float,
    order: np.random.Generator,
) -> TrainingReport:
    """Train ``net`` in place.

    Args:
        net: the components that the site holds.
        rows: the site's training rows.
        objective: turns a batch into a loss.
        config: epochs, batch size, optimiser, precision.
        lr: step size of this round.
        order: stream that shuffles the rows.
    """
    began = time.perf_counter()
    net.train()
    optimiser = make_optimiser(net, config, lr)
    sums: dict[str, list[torch.Tensor]] = defaultdict(list)
    steps = 0
    for _ in range(config.local_epochs):
        shuffled = order.permutation(rows.count)
        for start in range(0, rows.count, config.batch_size):
            batch, available = rows.batch(shuffled[start : start + config.batch_size])
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=config.amp):
                loss = objective(net, batch, available)
            loss.total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            steps += 1
            for name, value in loss.parts.items():
                sums[name].append(value)
    # One transfer after all steps: reading a loss in every step would wait for the device each time.
    losses = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
    return TrainingReport(steps, losses, time.perf_counter() - began)
