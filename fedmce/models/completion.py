"""Completion heads: a guess of one modality's token from the tokens of others (RCE, method.md 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CompletionHead(nn.Module):
    """Predicts what a subset hides of one modality from the tokens of the subset: the hidden token, or the
    fused state of everything (``completion_target``).

    The input is the concatenation of tokens, empty outside the subset, and the membership itself, so
    that "not given" differs from "given and zero".
    """

    def __init__(self, modalities: int, width: int, hidden: int, target: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(modalities * (width + 1), hidden), nn.ReLU(), nn.Linear(hidden, target))

    def forward(self, token_pmd: Tensor, member_pm: Tensor) -> Tensor:
        """Guess ``(pairs, target)`` from tokens ``(pairs, modalities, width)`` of the members."""
        token = torch.where(member_pm[:, :, None], token_pmd, 0.0)
        return self.net(torch.cat([token.flatten(1), member_pm.to(token.dtype)], dim=1))  # type: ignore[no-any-return]
