"""``mce``: task + LCE + RCE (method.md 2).

Zhao, Zhang, Zou: "MCE: Towards a General Framework for Handling Missing Modalities under Imbalanced
Missing Rates", Pattern Recognition 172, 2026, 112591. The equations are those of method.md 2, which
repairs what the public code does otherwise.

L = L_task + a_uni L_uni + a_sub L_sub + a_comp L_comp
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.schema import MceConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.lce import LearningCapability
from fedmce.objectives.objective import Loss, SiteFacts, full_precision, objective
from fedmce.objectives.pairs import all_pairs, share_of_row
from fedmce.objectives.rce import completion_loss


class MceObjective:
    """Every (row, subset) pair of a batch is predicted in one call of the fusion."""

    def __init__(self, config: MceConfig, facts: SiteFacts) -> None:
        self._config, self._facts = config, facts
        self._capability: LearningCapability | None = None

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        config, device = self._config, batch.targets.device
        if self._capability is None:
            self._capability = LearningCapability(config, self._facts, device)
        pairs = all_pairs(available)
        row_p = torch.from_numpy(pairs.row).to(device)
        member_pm = torch.from_numpy(pairs.member).to(device)
        full_p = torch.from_numpy(np.flatnonzero(pairs.is_full)).to(device)
        share_p = torch.from_numpy(share_of_row(pairs, config.subset_scale)).to(device)
        available_bm = torch.from_numpy(available).to(device)

        token_bmd = net.encode(batch)
        unimodal_bmc = net.unimodal(token_bmd, batch.values)
        assert unimodal_bmc is not None
        logits_pc = full_precision(net.fuse(token_bmd, row_p, member_pm, unimodal_bmc, batch.values))
        loss_p = F.cross_entropy(logits_pc, batch.targets[row_p], reduction="none")
        task = loss_p[full_p].mean()
        subset = (share_p.to(loss_p.dtype) * loss_p).sum() / batch.rows

        held = [net.spec.names.index(m) for m in self._capability.held]
        alone_bmc, held_bm = full_precision(unimodal_bmc[:, held]), available_bm[:, held]
        right_b = logits_pc.detach()[full_p].argmax(dim=1) == batch.targets
        self._capability.observe(right_b, alone_bmc.detach().argmax(dim=2) == batch.targets[:, None], held_bm)
        weight_h = self._capability.weights()
        unimodal = unimodal_loss(alone_bmc, batch.targets, held_bm, weight_h)

        total = task + config.unimodal_weight * unimodal + config.subset_weight * subset
        parts = {"task": task.detach(), "unimodal": unimodal.detach(), "subset": subset.detach()}
        if config.completion_weight > 0 and len(net.completion):
            weight_m = weight_h.new_zeros(len(net.spec.names)).index_copy(
                0, torch.tensor(held, device=device), weight_h
            )
            completion = completion_loss(net, full_precision(token_bmd), row_p, member_pm, available_bm, weight_m)
            total = total + config.completion_weight * completion
            parts["completion"] = completion.detach()
        return Loss(total, parts)


def unimodal_loss(logits_bhc: Tensor, target_b: Tensor, available_bh: Tensor, weight_h: Tensor) -> Tensor:
    """L_uni: weighted mean over the modalities in the batch of the mean loss over the rows that hold them.

    Args:
        logits_bhc: of the unimodal heads of the held modalities.
        target_b: class index.
        available_bh: bool.
        weight_h: w_m.

    Returns:
        Scalar; a modality that no row of the batch holds adds neither to the sum nor to the count.
    """
    rows, held, classes = logits_bhc.shape
    loss_bh = F.cross_entropy(
        logits_bhc.reshape(-1, classes), target_b.repeat_interleave(held), reduction="none"
    ).reshape(rows, held)
    rows_h = available_bh.sum(dim=0)
    mean_h = torch.where(available_bh, loss_bh, 0.0).sum(dim=0) / rows_h.clamp(min=1)
    return (weight_h * mean_h).sum() / (rows_h > 0).sum().clamp(min=1)


@objective("mce")
def mce(config: MceConfig, facts: SiteFacts, generator: np.random.Generator) -> MceObjective:
    """Task + LCE + RCE."""
    return MceObjective(config, facts)
