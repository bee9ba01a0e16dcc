"""Supervised contrast: states of one class nearer to each other than to those of other classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def class_contrast(
    anchor: Tensor, anchor_class: Tensor, other: Tensor, other_class: Tensor, temperature: float, same: bool = False
) -> Tensor:
    """Mean over anchors of -mean over positives p of log( e^{cos(a, p) / T} / sum over others o of e^{cos(a, o) / T} ).

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2 (the mean is outside the logarithm). An
    anchor without a positive among the others says nothing and does not count.

    Args:
        anchor: states, ``(anchors, size)``.
        anchor_class: ``(anchors,)``.
        other: what they are compared with, ``(others, size)``.
        other_class: ``(others,)``.
        temperature: T.
        same: anchors and others are the same list; nothing is compared with itself.

    Returns:
        Scalar; 0 if no anchor has a positive.
    """
    score = F.normalize(anchor, dim=1) @ F.normalize(other, dim=1).T / temperature
    positive = anchor_class[:, None] == other_class[None, :]
    if same:
        itself = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
        score, positive = score.masked_fill(itself, float("-inf")), positive & ~itself
    log_share = score - score.logsumexp(dim=1, keepdim=True)
    count = positive.sum(dim=1)
    each = -torch.where(positive, log_share, 0.0).sum(dim=1) / count.clamp(min=1)
    return each.sum() / (count > 0).sum().clamp(min=1)
