"""The plan of a batch: which (row, subset) pairs are predicted, on both sides of the bus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import to_device
from fedmce.objectives.pairs import Pairs, all_pairs, full_pairs, sampled_pairs, share_of_row
from fedmce.objectives.published import mixed_tokens
from fedmce.subsets import AUTO_LIMIT


@dataclass(frozen=True)
class BatchPlan:
    """One batch: its pairs on both sides of the bus, and its tokens.

    Attributes:
        pairs: on the CPU.
        available: bool ``(rows, modalities)`` on the CPU.
        row_p: row of each pair, int64.
        member_pm: subset of each pair, bool.
        full_b: pair of each row's full set, int64 ``(rows,)``.
        share_p: weight of each pair in the subset loss.
        available_bm: bool.
        target_p: class of each pair's row.
        own_bmd: tokens as the encoders made them, ``(rows, modalities, width)``.
        token_bmd: what subsets, heads and completion read: the same, unless ``published.leak``.
    """

    pairs: Pairs
    available: npt.NDArray[np.bool_]
    row_p: Tensor
    member_pm: Tensor
    full_b: Tensor
    share_p: Tensor
    available_bm: Tensor
    target_p: Tensor
    own_bmd: Tensor
    token_bmd: Tensor


def samples_subsets(config: MceConfig, modalities: int) -> bool:
    """Subsets are drawn, not listed."""
    return config.subsets == "sampled" or (config.subsets == "auto" and modalities > AUTO_LIMIT)


def needs_subsets(config: MceConfig) -> bool:
    """Something looks at more than what a row holds; else only full sets are predicted."""
    weights = config.subset_weight + config.distil_weight + config.completion_weight + config.train_through
    return weights > 0 or config.capability in ("shapley", "published")


def plan_batch(
    config: MceConfig,
    net: MultimodalNet,
    batch: Batch,
    available_bm: npt.NDArray[np.bool_],
    generator: np.random.Generator,
) -> BatchPlan:
    """Encode the batch once and list its pairs."""
    device = batch.targets.device
    if not needs_subsets(config):
        pairs = full_pairs(available_bm)
    elif samples_subsets(config, available_bm.shape[1]):
        pairs = sampled_pairs(available_bm, config.subset_budget, generator)
    else:
        pairs = all_pairs(available_bm)
    row_p, on_device_bm, token_bmd = to_device(pairs.row, device), to_device(available_bm, device), net.encode(batch)
    return BatchPlan(
        pairs=pairs,
        available=available_bm,
        row_p=row_p,
        member_pm=to_device(pairs.member, device),
        full_b=to_device(np.flatnonzero(pairs.is_full), device),
        share_p=to_device(share_of_row(pairs, config.subset_scale), device),
        available_bm=on_device_bm,
        target_p=batch.targets[row_p],
        own_bmd=token_bmd,
        token_bmd=mixed_tokens(token_bmd, on_device_bm) if config.published.leak else token_bmd,
    )
