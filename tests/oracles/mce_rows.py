"""The MCE objective row by row and subset by subset, as method and paper write it.

L = L_task + a_uni L_uni + a_sub L_sub + a_comp L_comp. Nothing is gathered, padded or masked: a row is a
dict of the samples that it holds, a subset a tuple of names, and a sum is a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives import SiteFacts

Tokens = dict[str, Tensor]


@dataclass
class Row:
    """Samples that the row holds, by name, and its class."""

    samples: dict[str, Tensor]
    target: int


def rows_in(batch: Batch) -> list[Row]:
    """The batch as a list of rows."""
    rows = [Row({}, int(target)) for target in batch.targets]
    for name, values in batch.values.items():
        for sample, where in zip(values, batch.position[name], strict=True):
            rows[int(where)].samples[name] = sample
    return rows


def tokens_of(net: MultimodalNet, row: Row) -> Tokens:
    """t_m = f_m(x_m), only for what the row holds."""
    return {name: net.encoder[name](sample[None])[0] for name, sample in row.samples.items()}


def fused_logits(net: MultimodalNet, tokens: Tokens, subset: Sequence[str]) -> Tensor:
    """g(T, S) of one row, from the tokens in S and nothing else."""
    held = [name for name in net.spec.names if name in subset]
    if net.spec.fusion == "mean":
        logits: Tensor = net.fusion.net(sum(tokens[m] for m in held) / len(held))
        return logits
    if net.spec.fusion == "transformer":
        return _attended(net, tokens, held)
    hidden = net.fusion.bias + sum(net.projection[m].weight @ tokens[m] for m in held)
    light: Tensor = net.fusion.out(torch.relu(hidden))
    if net.spec.fusion == "concat":
        return light
    return light + sum(net.head[m](tokens[m]) for m in held) / len(held)


def _attended(net: MultimodalNet, tokens: Tokens, held: list[str]) -> Tensor:
    """The class token attends to itself and to the tokens in S; the sequence has no other places."""
    kinds = {name: net.fusion.kind[1 + i] for i, name in enumerate(net.spec.names)}
    seat = net.fusion.kind[0]
    sequence = torch.stack([seat] + [tokens[m] + kinds[m] for m in held])[None]
    mixed = net.fusion.attention(sequence[:, :1], sequence, sequence)[0][0, 0]
    state = net.fusion.norm1(seat + mixed)
    logits: Tensor = net.fusion.out(net.fusion.norm2(state + net.fusion.feed(state)))
    return logits


def negative_log_likelihood(logits: Tensor, target: int) -> Tensor:
    """l(z, y) = log sum_c exp z_c - z_y."""
    return torch.logsumexp(logits, dim=0) - logits[target]


def proper_subsets(held: Sequence[str]) -> list[tuple[str, ...]]:
    """Non-empty subsets that lack something."""
    return [subset for size in range(1, len(held)) for subset in combinations(held, size)]


def completed(net: MultimodalNet, tokens: Tokens, subset: Sequence[str], name: str) -> Tensor:
    """c_m(T, S): the head of m reads the tokens in S, zeros elsewhere, and who is in S."""
    width = net.spec.width
    parts = [tokens[m] if m in subset else torch.zeros(width) for m in net.spec.names]
    present = torch.tensor([float(m in subset) for m in net.spec.names])
    guess: Tensor = net.completion[name].net(torch.cat([*parts, present]))
    return guess


def smooth_l1(guess: Tensor, target: Tensor) -> Tensor:
    """Mean over the entries of d^2 / 2 where |d| < 1 and |d| - 1/2 elsewhere."""
    terms = [d * d / 2 if abs(float(d.detach())) < 1 else abs(d) - 0.5 for d in guess - target]
    return torch.stack(terms).mean()


@dataclass
class MceTwin:
    """The objective with its running capability gaps."""

    config: MceConfig
    facts: SiteFacts
    gap: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held = [m for m in self.facts.modalities if self.facts.rows_by_modality.get(m, 0) > 0]
        self.gap = {m: self.facts.gap.get(m, 0.5) for m in held}

    def loss(self, net: MultimodalNet, rows: list[Row]) -> Tensor:
        """L of one batch; the gaps are brought up to date first."""
        tokens = [tokens_of(net, row) for row in rows]
        self._observe(net, rows, tokens)
        weights = self._weights()
        return (
            self.task(net, rows, tokens)
            + self.config.unimodal_weight * self.unimodal(net, rows, tokens, weights)
            + self.config.subset_weight * self.subset(net, rows, tokens)
            + self.config.completion_weight * self.completion(net, tokens, weights)
        )

    def task(self, net: MultimodalNet, rows: list[Row], tokens: list[Tokens]) -> Tensor:
        losses = [
            negative_log_likelihood(fused_logits(net, t, tuple(t)), r.target) for r, t in zip(rows, tokens, strict=True)
        ]
        return torch.stack(losses).mean()

    def unimodal(self, net: MultimodalNet, rows: list[Row], tokens: list[Tokens], weights: dict[str, float]) -> Tensor:
        total, present = torch.zeros(()), 0
        for m in net.spec.names:
            losses = [
                negative_log_likelihood(net.head[m](t[m]), r.target)
                for r, t in zip(rows, tokens, strict=True)
                if m in t
            ]
            if losses:
                present += 1
                total = total + weights[m] * torch.stack(losses).mean()
        return total / present

    def subset(self, net: MultimodalNet, rows: list[Row], tokens: list[Tokens]) -> Tensor:
        total = torch.zeros(())
        for row, held in zip(rows, tokens, strict=True):
            for subset in proper_subsets(tuple(held)):
                share = 1 / (2 ** len(held) - 2) if self.config.subset_scale == "mean" else 1.0
                total = total + share * negative_log_likelihood(fused_logits(net, held, subset), row.target)
        return total / len(rows)

    def completion(self, net: MultimodalNet, tokens: list[Tokens], weights: dict[str, float]) -> Tensor:
        total, terms = torch.zeros(()), 0
        for held in tokens:
            for subset in proper_subsets(tuple(held)):
                for m in set(held) - set(subset):
                    guess = completed(net, held, subset, m)
                    total = total + weights[m] * smooth_l1(guess, held[m].detach())
                    terms += 1
        return total / max(terms, 1)

    def _observe(self, net: MultimodalNet, rows: list[Row], tokens: list[Tokens]) -> None:
        for m in self.gap:
            lacks = []
            for row, held in zip(rows, tokens, strict=True):
                if m in held:
                    all_right = int(fused_logits(net, held, tuple(held)).argmax()) == row.target
                    alone_right = int(net.head[m](held[m]).argmax()) == row.target
                    lacks.append(max(float(all_right) - float(alone_right), 0.0))
            if lacks:
                keep = self.config.smoothing
                self.gap[m] = keep * self.gap[m] + (1 - keep) * sum(lacks) / len(lacks)

    def _weights(self) -> dict[str, float]:
        facts, config = self.facts, self.config
        raw = {}
        for m in self.gap:
            rarity = {
                "off": 1.0,
                "local": facts.rows / facts.rows_by_modality[m],
                "global": facts.all_rows / facts.all_rows_by_modality[m],
            }[config.rarity]
            lack = config.capability_floor + self.gap[m] if config.capability == "gap" else 1.0
            raw[m] = rarity * lack
        mean = sum(raw.values()) / len(raw)
        return {m: min(value / mean, config.weight_cap) for m, value in raw.items()}
