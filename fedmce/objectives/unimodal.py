"""Unimodal losses: what LCE weighs, and what warm-up rounds train alone (method.md 2.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, full_precision, to_device


def unimodal_loss(logits_bmc: Tensor, target_b: Tensor, available_bm: Tensor, weight_m: Tensor) -> Tensor:
    """L_uni: weighted mean over the modalities in the batch of the mean loss over the rows that hold them.

    Args:
        logits_bmc: of the unimodal heads.
        target_b: class index.
        available_bm: bool.
        weight_m: w_m.

    Returns:
        Scalar; a modality that no row of the batch holds adds neither to the sum nor to the count.
    """
    rows, modalities, classes = logits_bmc.shape
    loss_bm = F.cross_entropy(
        logits_bmc.reshape(-1, classes), target_b.repeat_interleave(modalities), reduction="none"
    ).reshape(rows, modalities)
    rows_m = available_bm.sum(dim=0)
    mean_m = torch.where(available_bm, loss_bm, 0.0).sum(dim=0) / rows_m.clamp(min=1)
    return (weight_m * mean_m).sum() / (rows_m > 0).sum().clamp(min=1)


class WarmUp(Even):
    """Unimodal losses alone, all alike: the warm-up rounds behind ``reference=frozen`` (method.md 2.2).

    Encoders and heads train as if each modality were the only one; fusion and completion are not touched.
    """

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        unimodal_bmc = net.unimodal(net.encode(batch), batch.values)
        assert unimodal_bmc is not None
        logits_bmc = full_precision(unimodal_bmc)
        weight_m = logits_bmc.new_ones(logits_bmc.shape[1])
        loss = unimodal_loss(logits_bmc, batch.targets, to_device(available, batch.targets.device), weight_m)
        return Loss(loss, {"unimodal": loss.detach()})
