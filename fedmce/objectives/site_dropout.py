"""``site_dropout``: the task loss without one random part of the site's modalities, the same for a whole round.

The sampler is that of FLISM's second view (Orzikulova et al., arXiv 2405.11828): how many to drop, uniform in 1 to
M_k - 1, then which, uniform. Encoders of what is dropped are not run, so these components come back as they were
and do not count in their average this round. Rows that hold nothing else take no part in the round.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from fedmce.config.baselines import SiteDropoutConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, SiteFacts, full_precision, objective, to_device
from fedmce.objectives.task import fused_task_loss


def drawn_part(held: tuple[str, ...], generator: np.random.Generator) -> frozenset[str]:
    """A random proper non-empty subset of the modalities that a site holds: what it drops; none if it holds one."""
    if len(held) < 2:
        return frozenset()
    count = int(generator.integers(1, len(held)))
    return frozenset(held[i] for i in generator.choice(len(held), count, replace=False))


def without(
    batch: Batch, available: npt.NDArray[np.bool_], names: tuple[str, ...], dropped: Collection[str]
) -> tuple[Batch, npt.NDArray[np.bool_]]:
    """The batch without the samples of some modalities, and what its rows then hold, bool ``(rows, modalities)``."""
    values = {m: v for m, v in batch.values.items() if m not in dropped}
    position = {m: p for m, p in batch.position.items() if m not in dropped}
    return replace(batch, values=values, position=position), available & [m not in dropped for m in names]


def nothing_to_learn(batch: Batch) -> Loss:
    """A loss that is 0 and touches no parameter: a step on it leaves everything as it is."""
    return Loss(torch.zeros((), device=batch.targets.device, requires_grad=True), {})


class SiteDropout(Even):
    """Mean task loss over the rows that hold something of what is left.

    Args:
        dropped: modalities that this round does without.
    """

    def __init__(self, dropped: frozenset[str]) -> None:
        self.dropped = dropped

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        if not self.dropped:
            return fused_task_loss(net, batch, available)
        batch, left = without(batch, available, net.spec.names, self.dropped)
        rows = np.flatnonzero(left.any(axis=1))
        if not len(rows):
            return nothing_to_learn(batch)
        device = batch.targets.device
        row_p, member_pm = to_device(rows, device), to_device(left[rows], device)
        logits = net.fuse(net.encode(batch), row_p, member_pm, present=batch.values)
        loss = F.cross_entropy(full_precision(logits), batch.targets[row_p])
        return Loss(loss, {"task": loss.detach()})


@objective("site_dropout")
def site_dropout(config: SiteDropoutConfig, facts: SiteFacts, generator: np.random.Generator) -> SiteDropout:
    """Draw once per local training what the site does without."""
    drops = generator.random() < config.rate
    return SiteDropout(drawn_part(facts.held, generator) if drops else frozenset())
