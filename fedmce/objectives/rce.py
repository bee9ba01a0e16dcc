"""RCE: completion of tokens that were hidden on purpose (method.md 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.models import MultimodalNet


def completion_loss(
    net: MultimodalNet, token_bmd: Tensor, row_p: Tensor, member_pm: Tensor, available_bm: Tensor, weight_m: Tensor
) -> Tensor:
    """Smooth L1 distance of completed tokens from the true ones, over entries that a row holds and S hides.

    Only artificially hidden entries are completed: what a row never held has no target. The target is
    detached. Deviation from the public MCE code, which is not: with a gradient on both sides the
    tokens shrink to zero, where completion is perfect and useless.

    Args:
        net: the network with its completion heads.
        token_bmd: tokens ``(rows, modalities, width)``.
        row_p: row per pair.
        member_pm: subset S per pair, bool ``(pairs, modalities)``.
        available_bm: bool ``(rows, modalities)``.
        weight_m: weight per modality ``(modalities,)``; 0 where the site holds none.

    Returns:
        Scalar: sum of weighted distances divided by the number of terms; 0 if nothing is hidden.
    """
    target = token_bmd.detach()
    hidden_pm = available_bm[row_p] & ~member_pm
    total, terms = token_bmd.new_zeros(()), hidden_pm.sum().clamp(min=1)
    for column, name in enumerate(net.spec.names):
        if name not in net.completion:
            continue
        (chosen,) = torch.nonzero(hidden_pm[:, column], as_tuple=True)
        if len(chosen) == 0:
            continue
        rows = row_p[chosen]
        guess = net.completion[name](token_bmd[rows], member_pm[chosen])
        distance = F.smooth_l1_loss(guess, target[rows, column], reduction="none").mean(dim=1).sum()
        total = total + weight_m[column] * distance
    return total / terms
