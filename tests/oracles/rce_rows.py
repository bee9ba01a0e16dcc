"""RCE by hand: subset prediction, completion, training through it, distillation (method.md 2.3 to 2.5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.models import MultimodalNet
from tests.oracles.net_rows import (
    Row,
    Tokens,
    completed,
    fused_logits,
    negative_log_likelihood,
    proper_subsets,
)
from tests.oracles.published_rows import last_subset


@dataclass
class SeenRow:
    """A row, the tokens that its subsets read, and the prediction from everything it holds."""

    row: Row
    tokens: Tokens
    full_logits: Tensor
    full_state: Tensor

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(self.tokens)


def share(config: MceConfig, count: int) -> float:
    """Of one of ``count`` subsets in what its row adds."""
    return 1 / count if config.subset_scale == "mean" else 1.0


def subset_loss(config: MceConfig, net: MultimodalNet, rows: list[SeenRow]) -> Tensor:
    """L_sub: mean over rows of the (mean or summed) loss of their proper subsets."""
    total = torch.zeros(())
    for seen in rows:
        subsets = proper_subsets(seen.held)
        for subset in subsets:
            logits = fused_logits(net, seen.tokens, subset)
            total = total + share(config, len(subsets)) * negative_log_likelihood(logits, seen.row.target)
    return total / len(rows)


def distance(kind: str, guess: Tensor, target: Tensor) -> Tensor:
    """d(guess, target); nothing is at a right angle to everything."""
    if kind == "cosine" and not target.any():
        return torch.ones(())
    if kind == "cosine":
        return 1 - (guess * target).sum() / (guess.square().sum().sqrt() * target.square().sum().sqrt())
    apart = [g - t for g, t in zip(guess, target, strict=True)]
    if kind == "mse":
        return torch.stack([d * d for d in apart]).mean()
    return torch.stack([d * d / 2 if abs(float(d.detach())) < 1 else abs(d) - 0.5 for d in apart]).mean()


def completion_loss(config: MceConfig, net: MultimodalNet, rows: list[SeenRow], weights: Mapping[str, float]) -> Tensor:
    """L_comp: what a subset of a row hides, guessed from the subset; mean over all that is hidden."""
    total, terms = torch.zeros(()), 0
    for seen in rows:
        subsets = proper_subsets(seen.held)
        if config.published.lost_terms and subsets:
            subsets = [last_subset(seen.held, net.spec.names)]
        source = {m: t.detach() for m, t in seen.tokens.items()} if config.detach_source else seen.tokens
        for subset in subsets:
            for m in set(seen.held) - set(subset):
                target = seen.tokens[m] if config.completion_target == "token" else seen.full_state
                target = target.detach() if config.detach_target else target
                guess = completed(net, source, subset, m)
                total = total + weights[m] * distance(config.completion_distance, guess, target)
                terms += 1
    return total / max(terms, 1)


def through_loss(config: MceConfig, net: MultimodalNet, rows: list[SeenRow], in_batch: Collection[str]) -> Tensor:
    """Task loss of every subset that lacks something of the batch, with completed tokens for what it lacks."""
    total = torch.zeros(())
    for seen in rows:
        subsets = [s for s in [*proper_subsets(seen.held), seen.held] if set(in_batch) - set(s)]
        for subset in subsets:
            tokens = {m: seen.tokens[m] for m in subset}
            tokens |= {m: completed(net, seen.tokens, subset, m) for m in in_batch if m not in subset}
            logits = fused_logits(net, tokens, tuple(tokens))
            total = total + share(config, len(subsets)) * negative_log_likelihood(logits, seen.row.target)
    return total / len(rows)


def distillation_loss(config: MceConfig, net: MultimodalNet, rows: list[SeenRow]) -> Tensor:
    """T^2 times the mean over rows of sum_c p_c (log p_c - log q_c): p of everything, q of a subset, both soft."""
    soft, total = config.distil_temperature, torch.zeros(())
    for seen in rows:
        teacher = torch.softmax(seen.full_logits.detach() / soft, dim=0)
        subsets = proper_subsets(seen.held)
        for subset in subsets:
            student = torch.softmax(fused_logits(net, seen.tokens, subset) / soft, dim=0)
            apart = (teacher * (teacher.log() - student.log())).sum()
            total = total + share(config, len(subsets)) * apart
    return soft**2 * total / len(rows)
