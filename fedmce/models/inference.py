"""Predictions that may use completed tokens for what is absent (``use_completion``)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fedmce.models.network import MultimodalNet


def logits_with_completion(
    net: MultimodalNet, token_bmd: Tensor, row_p: Tensor, member_pm: Tensor, plain_pc: Tensor, use: str
) -> Tensor:
    """Logits of (row, subset) pairs when completed tokens stand in for what the subset lacks.

    Args:
        net: with completion heads of tokens.
        token_bmd: tokens ``(rows, modalities, width)``; those outside a pair's subset are not read.
        row_p: row of each pair, int64.
        member_pm: the subset of each pair, bool ``(pairs, modalities)``.
        plain_pc: logits without completion, ``(pairs, classes)``.
        use: ``off``: the plain ones. ``full``: of the subset with completed tokens for all that it lacks. ``mean``:
            log of the mean of both probabilities.

    Returns:
        ``(pairs, classes)``; their softmax is the prediction.
    """
    if use == "off" or not len(net.completion):
        return plain_pc
    token_pmd, has_pm = net.complete(token_bmd, row_p, member_pm)
    full_pc = net.fuse(token_pmd, torch.arange(len(has_pm), device=has_pm.device), has_pm)
    if use == "full":
        return full_pc
    both = torch.stack([plain_pc.log_softmax(dim=1), full_pc.log_softmax(dim=1)])
    return both.logsumexp(dim=0) - math.log(2.0)
