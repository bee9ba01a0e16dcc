"""What each modality lacks in a set of predictions: the quantities behind LCE's capability B_m (method.md 2.2).

All of them compare values of the *same* rows: those that hold the modality. They are means over rows in
[0, width of the value], so they do not grow with the batch, and rows that lack a modality say nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.contributions.values import prior_value, row_values
from fedmce.objectives.objective import SiteFacts, to_device
from fedmce.objectives.pairs import Pairs


@dataclass(frozen=True)
class Observed:
    """Values of predictions of some rows.

    Attributes:
        value_p: v_i(S) per pair, ``(pairs,)``.
        row_p: row of each pair, int64 ``(pairs,)``.
        full_b: pair of each row's full set, int64 ``(rows,)``.
        alone_bm: u_im: value of the unimodal reference, ``(rows, modalities)``; anything where absent.
        available_bm: bool ``(rows, modalities)``.
    """

    value_p: Tensor
    row_p: Tensor
    full_b: Tensor
    alone_bm: Tensor
    available_bm: Tensor


@lru_cache(maxsize=64)
def _shapley_weights(modalities: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weight of v(S) in phi_m by (modalities of the row, size of S): where S holds m, and where it does not."""
    with_m, without_m = np.zeros((modalities + 1, modalities + 1)), np.zeros((modalities + 1, modalities + 1))
    for n in range(1, modalities + 1):
        for size in range(n + 1):
            if size > 0:
                with_m[n, size] = factorial(size - 1) * factorial(n - size) / factorial(n)
            if size < n:
                without_m[n, size] = -factorial(size) * factorial(n - size - 1) / factorial(n)
    return with_m, without_m


def shapley_coefficients(pairs: Pairs, available_bm: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Coefficients C with phi_im = sum over the pairs p of row i of C_pm v_p - v(empty) / |e_i|.

    Summing a row's Shapley value by subsets instead of by marginals: v(S) enters phi_m with
    (|S|-1)! (n-|S|)! / n! where S holds m and with - |S|! (n-|S|-1)! / n! where it does not, n = |e_i|.

    Args:
        pairs: every subset of each row.
        available_bm: bool ``(rows, modalities)``.

    Returns:
        ``(pairs, modalities)``; 0 for what the row lacks.
    """
    with_m, without_m = _shapley_weights(available_bm.shape[1])
    size_p, row_size_p = pairs.member.sum(axis=1), available_bm.sum(axis=1)[pairs.row]
    inside, outside = with_m[row_size_p, size_p][:, None], without_m[row_size_p, size_p][:, None]
    coefficient = np.where(pairs.member, inside, outside)
    return np.where(available_bm[pairs.row], coefficient, 0.0)


def _mean_over_holders(lack_bm: Tensor, available_bm: Tensor) -> Tensor:
    return torch.where(available_bm, lack_bm, 0.0).sum(dim=0) / available_bm.sum(dim=0).clamp(min=1)


def gap(seen: Observed) -> Tensor:
    """Mean over rows holding m of (v_i(e_i) - u_im)_+, ``(modalities,)``: right together, wrong alone."""
    full_b = seen.value_p[seen.full_b]
    return _mean_over_holders((full_b[:, None] - seen.alone_bm).clamp(min=0), seen.available_bm)


def shapley_shortfall(seen: Observed, coefficient_pm: Tensor, empty_value: float) -> Tensor:
    """Mean over rows holding m of (u_im - phi_im)_+, ``(modalities,)``.

    The paper's diagnosis: the part of a modality's own capability that the fused model does not draw on.
    """
    phi_bm = torch.zeros_like(seen.alone_bm, dtype=seen.value_p.dtype)
    phi_bm = phi_bm.index_add(0, seen.row_p, coefficient_pm.to(phi_bm.dtype) * seen.value_p[:, None])
    phi_bm = phi_bm - empty_value / seen.available_bm.sum(dim=1, keepdim=True).clamp(min=1)
    return _mean_over_holders((seen.alone_bm - phi_bm).clamp(min=0), seen.available_bm)


def published_shortfall(seen: Observed, member_pm: Tensor) -> Tensor:
    """B_m as the public MCE code computes it, ``(modalities,)`` (method.md 2.6, items 1-3).

    Counts over the batch instead of means over rows: v(S) is summed over the rows that hold S, other rows for
    every S; the marginal is v(S) - v({m}) instead of v(S) - v(S without m); n is the number of subsets,
    2^M - 1, instead of the number of modalities. phi_m = v({m}) / n + sum over S with m, |S| > 1 of
    (|S|-1)! (n-|S|)! / n! (v(S) - v({m})); B_m = (right alone - phi_m)_+ / rows that hold m.

    One deviation: a batch without m gives 0 where the public code divides by zero and the run ends in NaN.
    """
    modalities = member_pm.shape[1]
    n = 2**modalities - 1
    size_p = member_pm.sum(dim=1)
    weight_k = [0.0, *(factorial(k - 1) * factorial(n - k) / factorial(n) for k in range(1, modalities + 1))]
    table = to_device(np.array(weight_k), seen.value_p.device).to(seen.value_p.dtype)
    alone_p = (size_p == 1).to(seen.value_p.dtype) * seen.value_p
    single_m = (member_pm * alone_p[:, None]).sum(dim=0)
    # Every S enters once, also one that no row of the batch holds: then its marginal is - v({m}).
    code_p = (member_pm.long() << torch.arange(modalities, device=member_pm.device)).sum(dim=1)
    value_s = torch.zeros(n + 1, device=seen.value_p.device, dtype=seen.value_p.dtype).index_add(
        0, code_p, seen.value_p
    )
    codes = torch.arange(n + 1, device=seen.value_p.device)
    member_sm = ((codes[:, None] >> torch.arange(modalities, device=codes.device)) & 1).bool()
    size_s = member_sm.sum(dim=1)
    together = member_sm & (size_s > 1)[:, None]
    marginal_sm = table[size_s][:, None] * (value_s[:, None] - single_m[None, :])
    phi_m = torch.where(together, marginal_sm, 0.0).sum(dim=0) + single_m / n
    right_m = torch.where(seen.available_bm, seen.alone_bm, 0.0).sum(dim=0)
    excess_m: Tensor = (right_m - phi_m).clamp(min=0)
    return excess_m / seen.available_bm.sum(dim=0).clamp(min=1)


@lru_cache(maxsize=64)
def _value_of_nothing(kind: str, class_rows: tuple[int, ...]) -> float:
    """v(nothing), the same in every step of a local training."""
    return prior_value(kind, class_rows)


def values(kind: str, logits: Tensor, target: Tensor) -> Tensor:
    """v_i of predictions given as logits ``(pairs, classes)``."""
    # The most probable class has the largest logit: no softmax for accuracy.
    return row_values(kind, logits if kind == "accuracy" else logits.softmax(dim=1), target)


def lack(
    config: MceConfig,
    facts: SiteFacts,
    seen: Observed,
    pairs: Pairs,
    available_bm: npt.NDArray[np.bool_],
    member_pm: Tensor,
) -> Tensor:
    """What each modality lacks in some predictions, by ``config.capability``; ``(modalities,)``."""
    if config.capability == "published":
        return published_shortfall(seen, member_pm)
    if config.capability == "shapley":
        coefficient = to_device(shapley_coefficients(pairs, available_bm), seen.value_p.device)
        return shapley_shortfall(seen, coefficient, _value_of_nothing(config.value, facts.class_rows))
    return gap(seen)
