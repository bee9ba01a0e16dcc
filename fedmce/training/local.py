"""Local training: a few epochs of one objective on one site's rows."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedmce.config.schema import TrainingConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives import Objective
from fedmce.objectives.objective import Arrays
from fedmce.training.device_rows import DeviceRows


@dataclass(frozen=True)
class TrainingReport:
    """Steps taken, mean of each named loss over the steps, what the objective tells, seconds spent."""

    steps: int
    losses: dict[str, float]
    told: Arrays
    seconds: float


def learning_rate(config: TrainingConfig, round_number: int, rounds: int) -> float:
    """Step size in a round (1-based): cosine from ``lr`` down to ``final_lr_share * lr``."""
    progress = (round_number - 1) / max(rounds - 1, 1)
    share = config.final_lr_share + (1 - config.final_lr_share) * 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * share


def make_optimiser(
    net: MultimodalNet, config: TrainingConfig, lr: float, apart: Collection[str] = ()
) -> torch.optim.Optimizer:
    """A fresh optimiser; sites carry no optimiser state from round to round.

    Args:
        net: what it moves.
        config: kind of optimiser.
        lr: step size.
        apart: modalities whose encoder and head form a group of their own, named by the modality.
    """
    groups = _groups(net, apart)
    if config.optimiser == "sgd":
        # Not fused: that one fails where some parameters have momentum and others meet their first gradient.
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.AdamW(groups, lr=lr, weight_decay=config.weight_decay, fused=True)


def _groups(net: MultimodalNet, apart: Collection[str]) -> list[dict[str, Any]]:
    named: dict[str, list[nn.Parameter]] = {m: [] for m in net.spec.names if m in apart}
    rest: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        part, modality = name.split(".")[:2]
        (named[modality] if part in ("encoder", "head") and modality in named else rest).append(parameter)
    return [{"params": rest, "name": ""}] + [{"params": p, "name": m} for m, p in named.items() if p]


def epoch_passes(
    available_nm: npt.NDArray[np.bool_],
    modalities: tuple[str, ...],
    extra: Mapping[str, float],
    order: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Rows of one local epoch in shuffled order, one array per pass.

    The first pass visits every row. A row is visited as often as the neediest of its modalities asks for;
    the fraction of a visit is drawn. No pass visits a row twice (sampling rows with replacement lets some rows
    out, which costs more than rarity gains: method.md 5.3).

    Args:
        available_nm: what each row holds, bool ``(rows, modalities)``.
        modalities: names of the columns.
        extra: passes per modality, 1 or more; what is left out counts 1.
        order: stream of the shuffling.
    """
    passes = [order.permutation(len(available_nm))]
    if not extra:
        return passes
    wanted_m = np.array([extra.get(m, 1.0) for m in modalities])
    wanted_n = np.where(available_nm, wanted_m, 1.0).max(axis=1)
    for done in range(1, math.ceil(wanted_n.max())):
        again = np.flatnonzero(order.random(len(wanted_n)) < wanted_n - done)
        passes.append(order.permutation(again))
    return [rows for rows in passes if len(rows)]


def train_locally(
    net: MultimodalNet,
    rows: DeviceRows,
    objective: Objective,
    config: TrainingConfig,
    *,
    lr: float,
    order: np.random.Generator,
    position_mask: npt.NDArray[np.bool_] | None = None,
) -> TrainingReport:
    """Train ``net`` in place.

    Args:
        net: the components that the site holds.
        rows: the site's training rows.
        objective: turns a batch into a loss.
        config: epochs, batch size, optimiser, precision.
        lr: step size of this round.
        order: stream that shuffles the rows.
        position_mask: bool ``(rows, modalities)``: hides by the place in the shuffled epoch instead of by row
            (``missingness.bind=position``, method.md 2.6, item 15).
    """
    began = time.perf_counter()
    net.train()
    emphasis = objective.emphasis()
    optimiser = make_optimiser(net, config, lr, emphasis.step)
    sums: dict[str, list[torch.Tensor]] = defaultdict(list)
    steps = 0
    for epoch in range(config.local_epochs):
        if epoch:
            emphasis = objective.emphasis()
        for group in optimiser.param_groups:
            group["lr"] = lr * emphasis.step.get(group["name"], 1.0)
        for visited in epoch_passes(rows.observed.available, net.spec.names, emphasis.rows, order):
            for start in range(0, len(visited), config.batch_size):
                here = slice(start, start + config.batch_size)
                batch, available = rows.batch(visited[here], None if position_mask is None else position_mask[here])
                optimiser.zero_grad(set_to_none=True)
                with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=config.amp):
                    loss = objective(net, batch, available)
                loss.total.backward()  # type: ignore[no-untyped-call]
                objective.after_backward(net)
                optimiser.step()
                steps += 1
                for name, value in loss.parts.items():
                    sums[name].append(value)
    # One transfer after all steps: reading a loss in every step would wait for the device each time.
    losses = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
    net.eval()
    with torch.no_grad():
        told = objective.told(net, _in_order(rows, config.batch_size))
    return TrainingReport(steps, losses, told, time.perf_counter() - began)


def _in_order(rows: DeviceRows, size: int) -> Iterator[tuple[Batch, npt.NDArray[np.bool_]]]:
    return (rows.batch(np.arange(at, min(at + size, rows.count))) for at in range(0, rows.count, size))
