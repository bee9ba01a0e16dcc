"""``task``: loss of the fused prediction from everything a row holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from fedmce.config.schema import TaskObjectiveConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, SiteFacts, full_precision, objective, to_device


def fused_task_loss(net: MultimodalNet, batch: Batch, member_bm: npt.NDArray[np.bool_]) -> Loss:
    """Mean cross entropy of the fused prediction from the given members of each row."""
    device = batch.targets.device
    logits = net.fuse(
        net.encode(batch),
        torch.arange(batch.rows, device=device),
        to_device(member_bm, device),
        present=batch.values,
    )
    loss = F.cross_entropy(full_precision(logits), batch.targets)
    return Loss(loss, {"task": loss.detach()})


class TaskObjective(Even):
    """mean_i l(g(T_i, e_i), y_i) (method.md 2.1)."""

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        return fused_task_loss(net, batch, available)


@objective("task")
def task(config: TaskObjectiveConfig, facts: SiteFacts, generator: np.random.Generator) -> TaskObjective:
    """The plain supervised objective."""
    return TaskObjective()
