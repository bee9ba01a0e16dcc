"""RCE, completion: what a subset hides on purpose is predicted from its tokens (method.md 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.models import MultimodalNet
from fedmce.objectives.objective import to_device
from fedmce.objectives.pairs import Pairs


@dataclass(frozen=True)
class HiddenTerms:
    """(pair, modality) terms of a batch, sorted by modality; planned on the CPU.

    Attributes:
        pair: int64 ``(terms,)``, all modalities one after another.
        count: terms per modality, in data set order.
        scale: what each term stands for, ``(terms,)``: 1, or the hidden modalities of its pair if one of them
            was drawn.
        total: number of hidden entries of the batch: what the sum is divided by.
    """

    pair: npt.NDArray[np.int64]
    count: list[int]
    scale: npt.NDArray[np.float32]
    total: int


def hidden_terms(
    pairs: Pairs,
    available_bm: npt.NDArray[np.bool_],
    draw: np.random.Generator | None = None,
    last_only: bool = False,
) -> HiddenTerms:
    """What a row holds and the subset of a pair hides.

    Args:
        pairs: pairs of a batch.
        available_bm: bool ``(rows, modalities)``.
        draw: complete one hidden modality per pair, drawn uniformly and counted for all of them: unbiased, and
            the cost of a step stays linear in the number of modalities. None: all of them.
        last_only: only the last proper subset of each row counts (method.md 2.6, item 6).
    """
    hidden = available_bm[pairs.row] & ~pairs.member
    if last_only:
        hidden[_not_last_proper(pairs)] = False
    total = int(hidden.sum())
    each = np.ones(len(hidden), np.float32)
    if draw is not None:
        each = hidden.sum(axis=1).astype(np.float32)
        chosen = np.where(hidden, draw.random(hidden.shape), -1.0).argmax(axis=1)
        hidden &= np.arange(hidden.shape[1]) == chosen[:, None]
    modality, pair = np.nonzero(hidden.T)
    count = np.bincount(modality, minlength=hidden.shape[1])
    return HiddenTerms(pair, [int(n) for n in count], each[pair], total)


def _not_last_proper(pairs: Pairs) -> npt.NDArray[np.bool_]:
    proper = np.flatnonzero(~pairs.is_full)
    last = np.ones(len(pairs.row), dtype=np.bool_)
    if len(proper):
        rows = pairs.row[proper]
        last[proper[np.append(rows[1:] != rows[:-1], True)]] = False
    return last


def distance(kind: str, guess: Tensor, target: Tensor) -> Tensor:
    """Distance of each guess from its target, both ``(terms, size)``; ``(terms,)``.

    ``smooth_l1``: mean over entries of Huber's function with threshold 1. ``mse``: mean of squares. ``cosine``: 1
    - cosine, which ignores length.
    """
    if kind == "cosine":
        return 1 - F.cosine_similarity(guess, target, dim=1)
    loss = F.smooth_l1_loss if kind == "smooth_l1" else F.mse_loss
    return loss(guess, target, reduction="none").mean(dim=1)


def completion_loss(
    net: MultimodalNet,
    source_bmd: Tensor,
    target: Tensor,
    plan: HiddenTerms,
    row_p: Tensor,
    member_pm: Tensor,
    weight_m: Tensor,
    kind: str,
) -> Tensor:
    """L_comp: weighted distance of completed entries from the true ones, over what rows hold and subsets hide.

    Only artificially hidden entries are completed: what a row never held has no target. The caller detaches
    the target. Deviation from the public MCE code, which does not: with a gradient on both sides the tokens
    shrink to zero, where completion is perfect and useless.

    Args:
        net: the network with its completion heads.
        source_bmd: tokens that are read, ``(rows, modalities, width)``.
        target: tokens ``(rows, modalities, width)``, or fused states of the full sets ``(rows, size)``.
        plan: the terms.
        row_p: row per pair.
        member_pm: subset S per pair, bool ``(pairs, modalities)``.
        weight_m: weight per modality ``(modalities,)``; 0 where the site holds none.
        kind: distance.

    Returns:
        Scalar: sum of weighted distances divided by the number of hidden entries; 0 if nothing is hidden.
    """
    total = source_bmd.new_zeros(())
    if plan.total == 0:
        return total
    pair_t = to_device(plan.pair, row_p.device)
    scale_t = to_device(plan.scale, row_p.device)
    chunks = zip(net.spec.names, torch.split(pair_t, plan.count), torch.split(scale_t, plan.count), strict=True)
    for column, (name, pair, scale) in enumerate(chunks):
        if name not in net.completion or plan.count[column] == 0:
            continue
        rows = row_p[pair]
        guess = net.completion[name](source_bmd[rows], member_pm[pair])
        true = target[rows, column] if target.dim() == 3 else target[rows]
        apart = distance(kind, guess.to(true.dtype), true)
        total = total + weight_m[column] * (scale * apart).sum()
    return total / plan.total
