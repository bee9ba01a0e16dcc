"""Weights of modalities that follow how each is doing: RedCore's regulator and PASSION's relative preference."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_advantage(error_m: Tensor) -> Tensor:
    """(mean - error_m) / mean: above 0 for what is easier than the rest; 0 throughout if all errors are 0."""
    mean = error_m.mean()
    return torch.where(mean > 0, (mean - error_m) / mean.clamp(min=1e-12), torch.zeros_like(error_m))


def regulated(weight_m: Tensor, error_m: Tensor, step: float, low: float, high: float = float("inf")) -> Tensor:
    """One step: the harder a modality, the more it weighs; then all weights are brought to length 1.

    beta_m <- clip(beta_m - step r_m, low, high), beta <- beta / ||beta||_2, with r_m the relative advantage.
    Source: Sun et al., "RedCore", AAAI 2024; Shi et al., "PASSION", ACM MM 2024 (whose length is sqrt(M)).

    Args:
        weight_m: weights ``(modalities,)``.
        error_m: running error of each.
        step: eta.
        low: smallest weight before the length.
        high: largest.
    """
    moved = (weight_m - step * relative_advantage(error_m)).clamp(low, high)
    return moved / moved.square().sum().sqrt()


def grown(step: float, growth: float, every: int, cap: float, done: int) -> float:
    """eta after ``done`` steps: multiplied by ``growth`` at 0, every, 2 every, ..., and never above ``cap``.

    Uncapped, 1.5 per 500 steps is a factor of 58 after 4 500.
    """
    return float(min(step * growth ** min(done // every + 1, 300), cap))
