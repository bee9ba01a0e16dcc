"""RCE, completion: what a subset hides on purpose is predicted from its tokens (method.md 2.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.models import MultimodalNet
from fedmce.models.completion import CompletionHead, Reads, complete_terms
from fedmce.objectives.objective import to_device
from fedmce.objectives.pairs import Pairs


@dataclass(frozen=True)
class HiddenTerms:
    """(pair, modality) terms of a batch, sorted by modality; planned on the CPU.

    Attributes:
        pair: int64 ``(terms,)``, all modalities one after another.
        modality: column of the hidden modality, ascending, int64 ``(terms,)``.
        row: row of the pair, int64 ``(terms,)``.
        member: subset of the pair, bool ``(terms, modalities)``.
        scale: what each term stands for, ``(terms,)``: 1, or the hidden modalities of its pair if one of them
            was drawn.
        total: number of hidden entries of the batch: what the sum is divided by.
    """

    pair: npt.NDArray[np.int64]
    modality: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    member: npt.NDArray[np.bool_]
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
    return HiddenTerms(pair, modality, pairs.row[pair], pairs.member[pair], each[pair], total)


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
    plan = _with_heads(plan, net)
    if len(plan.pair) == 0:
        return source_bmd.new_zeros(())
    device = row_p.device
    pair_t, column_t = to_device(plan.pair, device), to_device(plan.modality, device)
    row_t = row_p[pair_t]
    guess = _guesses(net, source_bmd, plan, row_t, member_pm, pair_t)
    true = target[row_t, column_t] if target.dim() == 3 else target[row_t]
    apart_t = distance(kind, guess.to(true.dtype), true)
    return (weight_m[column_t] * to_device(plan.scale, device) * apart_t).sum() / plan.total


def _with_heads(plan: HiddenTerms, net: MultimodalNet) -> HiddenTerms:
    """The terms of modalities whose completion head this copy holds."""
    has = np.array([name in net.completion for name in net.spec.names])
    if has[plan.modality].all():
        return plan
    kept = has[plan.modality]
    names = ("pair", "modality", "row", "member", "scale")
    return replace(plan, **{name: getattr(plan, name)[kept] for name in names})


def _guesses(
    net: MultimodalNet, source_bmd: Tensor, plan: HiddenTerms, row_t: Tensor, member_pm: Tensor, pair_t: Tensor
) -> Tensor:
    """What the heads say of each term, ``(terms, size)``."""
    count = np.bincount(plan.modality, minlength=len(net.spec.names))
    used = np.flatnonzero(count)
    heads = [cast(CompletionHead, net.completion[net.spec.names[m]]) for m in used]
    sizes = [int(count[m]) for m in used]
    # All heads on all rows cost no more than all terms by themselves; sampled subsets of many modalities do not.
    if len(source_bmd) * len(heads) <= len(plan.pair):
        return complete_terms(heads, source_bmd, _reads(plan, len(source_bmd), sizes, row_t.device))
    terms = zip(heads, torch.split(row_t, sizes), torch.split(pair_t, sizes), strict=True)
    return torch.cat([head(source_bmd[rows], member_pm[pairs]) for head, rows, pairs in terms])


def _reads(plan: HiddenTerms, rows: int, sizes: list[int], device: torch.device) -> Reads:
    """Entries that each term adds up: one per member of its subset, and one for the bias of its head."""
    terms, modalities = plan.member.shape
    head = np.repeat(np.arange(len(sizes)), sizes)
    term, place = np.nonzero(np.concatenate([plan.member, np.ones((terms, 1), np.bool_)], axis=1))
    # The bias follows all tokens, as if it were what row 0 has of one more modality.
    row = np.where(place < modalities, plan.row[term], 0)
    entry = (place * rows + row) * len(sizes) + head[term]
    read = np.bincount(place * rows + row, minlength=modalities * rows)[: modalities * rows] > 0
    start = np.flatnonzero(np.append(True, term[1:] != term[:-1]))
    used_bm = np.ascontiguousarray(read.reshape(modalities, rows).T)
    return Reads(
        entry=to_device(entry, device),
        term=to_device(term, device),
        start=to_device(start, device),
        count=sizes,
        used_bm=to_device(used_bm, device),
    )
