"""LCE: unimodal losses weighted by what each modality lacks (method.md 2.2).

A_m is the update factor against rarity, B_m the capability gap; w_m = A_m B_m, brought to mean 1 over
the site's modalities so that the learning rate keeps its meaning, and capped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.objectives.objective import SiteFacts


def rarity(kind: str, facts: SiteFacts) -> dict[str, float]:
    """A_m per modality that the site holds; 1 or more, the rarer the larger.

    ``local``: N_k / n_km. ``global``: sum_k N_k / sum_k n_km, from the profile round. ``off``: 1.
    """
    held = [m for m in facts.modalities if facts.rows_by_modality.get(m, 0) > 0]
    if kind == "off":
        return dict.fromkeys(held, 1.0)
    if kind == "local":
        return {m: facts.rows / facts.rows_by_modality[m] for m in held}
    return {m: facts.all_rows / facts.all_rows_by_modality[m] for m in held}


def modality_weights(rarity_m: Tensor, capability_m: Tensor, cap: float) -> Tensor:
    """w_m = A_m B_m / mean(A B), at most ``cap``; ``(held modalities,)``, no gradient."""
    raw = (rarity_m * capability_m).detach()
    return (raw / raw.mean()).clamp(max=cap)


class CapabilityGap:
    """B_m: floor + exponential mean of how often everything is right where m alone is wrong.

    Source: method.md 2.2, ``gap``. Deviation from the public MCE code, which divides a count by the rows
    of the batch that hold m: a batch without m leaves B_m as it was, so nothing divides by zero, and B_m
    is a share, so it does not grow with the batch.
    """

    def __init__(
        self, held: list[str], start: dict[str, float], floor: float, smoothing: float, device: torch.device
    ) -> None:
        self._floor, self._smoothing = floor, smoothing
        self._mean = torch.tensor([start.get(m, 0.5) for m in held], device=device)

    def update(self, full_right_b: Tensor, alone_right_bm: Tensor, available_bm: Tensor) -> None:
        """Fold in a batch.

        Args:
            full_right_b: bool ``(rows,)``: right with everything the row holds.
            alone_right_bm: bool ``(rows, held)``: the unimodal head is right.
            available_bm: bool ``(rows, held)``.
        """
        rows_m = available_bm.sum(dim=0)
        gap_m = (full_right_b[:, None] & ~alone_right_bm & available_bm).sum(dim=0) / rows_m.clamp(min=1)
        moved = self._smoothing * self._mean + (1 - self._smoothing) * gap_m
        self._mean = torch.where(rows_m > 0, moved, self._mean)

    def value(self) -> Tensor:
        """B_m, ``(held,)``."""
        return self._floor + self._mean


class LearningCapability:
    """The running weights w_m of one local training."""

    def __init__(self, config: MceConfig, facts: SiteFacts, device: torch.device) -> None:
        factors = rarity(config.rarity, facts)
        self.held = list(factors)
        self._cap = config.weight_cap
        self._rarity = torch.tensor([factors[m] for m in self.held], device=device)
        self._gap = None
        if config.capability == "gap":
            self._gap = CapabilityGap(self.held, facts.gap, config.capability_floor, config.smoothing, device)

    def observe(self, full_right_b: Tensor, alone_right_bm: Tensor, available_bm: Tensor) -> None:
        """Update B_m from a batch; columns are the held modalities."""
        if self._gap is not None:
            self._gap.update(full_right_b, alone_right_bm, available_bm)

    def weights(self) -> Tensor:
        """w_m, ``(held,)``."""
        capability = torch.ones_like(self._rarity) if self._gap is None else self._gap.value()
        return modality_weights(self._rarity, capability, self._cap)
