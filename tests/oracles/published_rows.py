"""What the public code does otherwise, row by row (method.md 2.6, items 4, 6, 7, 8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from fedmce.models import MultimodalNet
from tests.oracles.net_rows import Row, Subset, Tokens, negative_log_likelihood, proper_subsets


def mixed(tokens: Tokens) -> Tokens:
    """t'_m = t_m + sum_n softmax_n(<t_m, t_n> / sqrt(D)) t_n over what the row holds."""
    found = {}
    for m, own in tokens.items():
        affinity = {n: torch.exp((own * t).sum() / len(own) ** 0.5) for n, t in tokens.items()}
        total = sum(affinity.values())
        found[m] = own + sum(affinity[n] / total * t for n, t in tokens.items())
    return found


def with_zeros(net: MultimodalNet, tokens: Tokens, in_batch: Collection[str]) -> Tokens:
    """The row's tokens, and those of blank inputs for what it lacks and others in the batch hold."""
    found = dict(tokens)
    for modality in net.spec.modalities:
        if modality.name in in_batch and modality.name not in tokens:
            found[modality.name] = net.encoder[modality.name](torch.zeros(1, *modality.shape))[0]
    return found


def last_subset(held: Subset, order: Subset) -> Subset:
    """The last proper subset when they are counted up like binary numbers, first modality lowest."""
    return max(proper_subsets(held), key=lambda s: sum(2 ** order.index(m) for m in s))


def diluted_unimodal(net: MultimodalNet, rows: list[Row], tokens: list[Tokens], weights: Mapping[str, float]) -> Tensor:
    """Mean over modalities of the mean over all rows, where absent rows have logits 0 and class 0."""
    total, classes = torch.zeros(()), len(net.spec.classes)
    for m in net.spec.names:
        for row, held in zip(rows, tokens, strict=True):
            logits, target = (net.head[m](held[m]), row.target) if m in held else (torch.zeros(classes), 0)
            total = total + weights.get(m, 0.0) * negative_log_likelihood(logits, target) / len(rows)
    return total / len(net.spec.names)
