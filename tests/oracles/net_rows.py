"""The network on one row: a row is a dict of the samples that it holds, a subset a tuple of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from fedmce.models import Batch, MultimodalNet

Tokens = dict[str, Tensor]
Subset = tuple[str, ...]


@dataclass
class Row:
    """Samples that the row holds, by name, its class, and which row of its site it is."""

    samples: dict[str, Tensor]
    target: int
    number: int = 0


def rows_in(batch: Batch) -> list[Row]:
    """The batch as a list of rows."""
    rows = [Row({}, int(target)) for target in batch.targets]
    for name, values in batch.values.items():
        for sample, where in zip(values, batch.position[name], strict=True):
            rows[int(where)].samples[name] = sample
    if batch.index is not None:
        for row, number in zip(rows, batch.index, strict=True):
            row.number = int(number)
    return rows


def tokens_of(net: MultimodalNet, row: Row) -> Tokens:
    """t_m = f_m(x_m), only for what the row holds, in data set order."""
    return {name: net.encoder[name](row.samples[name][None])[0] for name in net.spec.names if name in row.samples}


def fused_state(net: MultimodalNet, tokens: Tokens, subset: Sequence[str]) -> Tensor:
    """What the fusion makes of the tokens in S, and of nothing else, before its last layer."""
    held = [name for name in net.spec.names if name in subset]
    if net.spec.fusion == "mean":
        return torch.relu(net.fusion.net[0](sum(tokens[m] for m in held) / len(held)))
    if net.spec.fusion == "transformer":
        return _attended(net, tokens, held)
    if net.spec.fusion == "shaspec":
        return _shared_and_specific(net, tokens, held)
    if net.spec.fusion == "additive":
        return torch.stack([net.head[m](tokens[m]) for m in held]).sum(dim=0)
    if net.spec.fusion == "late":
        return torch.stack([net.head[m](tokens[m]).softmax(dim=0) for m in held]).mean(dim=0).log()
    return torch.relu(net.fusion.bias + sum(net.projection[m].weight @ tokens[m] for m in held))


def fused_logits(net: MultimodalNet, tokens: Tokens, subset: Sequence[str]) -> Tensor:
    """g(T, S) of one row."""
    state = fused_state(net, tokens, subset)
    if net.spec.fusion in ("additive", "late"):
        return state
    logits: Tensor = net.fusion.net[2](state) if net.spec.fusion == "mean" else net.fusion.out(state)
    if net.spec.fusion != "residual":
        return logits
    return logits + sum(net.head[m](tokens[m]) for m in subset) / len(subset)


def _attended(net: MultimodalNet, tokens: Tokens, held: list[str]) -> Tensor:
    """The class token attends to itself and to the tokens in S; the sequence has no other places."""
    kinds = {name: net.fusion.kind[1 + i] for i, name in enumerate(net.spec.names)}
    seat = net.fusion.kind[0]
    sequence = torch.stack([seat] + [tokens[m] + kinds[m] for m in held])[None]
    mixed = net.fusion.attention(sequence[:, :1], sequence, sequence)[0][0, 0]
    state = net.fusion.norm1(seat + mixed)
    found: Tensor = net.fusion.norm2(state + net.fusion.feed(state))
    return found


def _shared_and_specific(net: MultimodalNet, tokens: Tokens, held: list[str]) -> Tensor:
    """f_m = s_m + W [s_m; p_m] of members, the mean of their s for the rest, side by side into a hidden layer."""
    shared = {m: net.fusion.shared(tokens[m]) for m in held}
    common = sum(shared.values()) / len(held)
    parts = [
        shared[m] + net.fusion.join(torch.cat([shared[m], tokens[m]])) if m in held else common for m in net.spec.names
    ]
    return torch.relu(net.fusion.mix(torch.cat(parts)))


def completed(net: MultimodalNet, tokens: Tokens, subset: Sequence[str], name: str) -> Tensor:
    """c_m(T, S): the head of m reads the tokens in S, zeros elsewhere, and who is in S."""
    blank = torch.zeros(net.spec.width)
    parts = [tokens[m] if m in subset else blank for m in net.spec.names]
    present = torch.tensor([float(m in subset) for m in net.spec.names])
    guess: Tensor = net.completion[name].net(torch.cat([*parts, present]))
    return guess


def negative_log_likelihood(logits: Tensor, target: int) -> Tensor:
    """l(z, y) = log sum_c exp z_c - z_y."""
    return torch.logsumexp(logits, dim=0) - logits[target]


def proper_subsets(held: Sequence[str]) -> list[Subset]:
    """Non-empty subsets that lack something."""
    return [subset for size in range(1, len(held)) for subset in combinations(held, size)]
