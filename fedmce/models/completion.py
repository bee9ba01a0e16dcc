"""Completion heads: a guess of one modality's token from the tokens of others (RCE, method.md 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CompletionHead(nn.Module):
    """Predicts what a subset hides of one modality from the tokens of the subset: the hidden token, or the
    fused state of everything (``completion_target``).

    The input is the concatenation of tokens, empty outside the subset, and the membership itself, so
    that "not given" differs from "given and zero".
    """

    def __init__(self, modalities: int, width: int, hidden: int, target: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(modalities * (width + 1), hidden), nn.ReLU(), nn.Linear(hidden, target))

    @property
    def first(self) -> nn.Linear:
        """Layer that reads the tokens."""
        layer = self.net[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, token_pmd: Tensor, member_pm: Tensor) -> Tensor:
        """Guess ``(pairs, target)`` from tokens ``(pairs, modalities, width)`` of the members."""
        token = torch.where(member_pm[:, :, None], token_pmd, 0.0)
        return self.net(torch.cat([token.flatten(1), member_pm.to(token.dtype)], dim=1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Reads:
    """Which tokens each term reads: terms are guesses of one head for one row and subset.

    Attributes:
        entry: of all terms one after another, int64 ``(entries,)``: ``(m rows + row) heads + head`` for each
            member m of the subset, and ``modalities rows heads + head`` once per term.
        term: the term of each entry, ascending, int64 ``(entries,)``.
        start: the first entry of each term, int64 ``(terms,)``.
        count: terms of each head, in order.
        used_bm: bool ``(rows, modalities)``: some term reads this token.
    """

    entry: Tensor
    term: Tensor
    start: Tensor
    count: list[int]
    used_bm: Tensor


def complete_terms(heads: Sequence[CompletionHead], token_bmd: Tensor, reads: Reads) -> Tensor:
    """Guesses of all terms, ``(terms, target)``, sorted by head: what each head's forward gives.

    The first layer is linear, so of a subset it makes the sum of what it makes of its members. That is computed
    once per row, modality and head, and not again in every subset; a term only adds its members up.

    Args:
        heads: the heads that have terms.
        token_bmd: tokens ``(rows, modalities, width)``; those that no term reads may be anything.
        reads: the terms.
    """
    modalities, width = token_bmd.shape[1:]
    layer = torch.stack([head.first.weight for head in heads])
    count, hidden = layer.shape[:2]
    of_token, of_membership = torch.split(layer, [modalities * width, modalities], dim=2)
    of_token = of_token.reshape(count, hidden, modalities, width).permute(2, 3, 0, 1).flatten(2)
    of_membership = of_membership.permute(2, 0, 1).reshape(modalities, 1, -1)
    token_mbd = torch.where(reads.used_bm[:, :, None], token_bmd, 0.0).transpose(0, 1)
    part = torch.baddbmm(of_membership, token_mbd, of_token).reshape(-1, hidden)
    bias = torch.stack([head.first.bias for head in heads])
    state = torch.split(_sums(torch.cat([part, bias.to(part.dtype)]), reads).relu(), reads.count)
    return torch.cat([head.net[2](piece) for head, piece in zip(heads, state, strict=True)])


def _sums(part: Tensor, reads: Reads) -> Tensor:
    """Sum of each term's entries, ``(terms, hidden)``."""
    if part.device.type == "cpu":
        return F.embedding_bag(reads.entry, part, reads.start, mode="sum")
    # On a GPU the gradient of a bag may wait for the device.
    return part.new_zeros(len(reads.start), part.shape[1]).index_add(0, reads.term, part.index_select(0, reads.entry))
