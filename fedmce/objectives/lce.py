"""LCE, learning capability enhancement: what each modality gets for what it lacks (method.md 2.2).

A_m is the update factor against rarity, B_m the capability; w_m = A_m B_m, brought to mean 1 over the site's
modalities so that the learning rate keeps its meaning, and capped. ``incentive`` says where w_m acts: as
weights of the unimodal losses, as step size of encoder and head, or as extra passes over rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.objectives.objective import Emphasis, SiteFacts


def rarity(kind: str, facts: SiteFacts) -> dict[str, float]:
    """A_m per modality that the site holds; 1 or more, the rarer the larger.

    ``local`` and ``raw``: N_k / n_km; the public code normalises nothing, which is ``raw`` with
    ``normalise=false``. ``global``: sum_k N_k / sum_k n_km, from the profile round. ``off``: 1.
    """
    held = [m for m in facts.modalities if facts.rows_by_modality.get(m, 0) > 0]
    if kind == "off":
        return dict.fromkeys(held, 1.0)
    if kind == "global":
        return {m: facts.all_rows / facts.all_rows_by_modality[m] for m in held}
    return {m: facts.rows / facts.rows_by_modality[m] for m in held}


def modality_weights(rarity_m: Tensor, capability_m: Tensor, cap: float | None, normalise: bool = True) -> Tensor:
    """w_m = A_m B_m, brought to mean 1 and at most ``cap``; ``(held modalities,)``, no gradient.

    Without any lack in any modality (all B_m = 0) there is nothing to tell them apart by: all w_m = 1.
    """
    weight = (rarity_m * capability_m).detach()
    if normalise:
        mean = weight.mean()
        weight = torch.where(mean > 0, weight / mean.clamp(min=1e-12), torch.ones_like(weight))
    return weight if cap is None else weight.clamp(max=cap)


class Capability:
    """B_m: floor + exponential mean over batches of what a modality lacks (``fedmce.objectives.shortfall``).

    Deviation from the public MCE code, which divides by the rows of the batch that hold m: a batch without m
    leaves B_m as it was, so nothing divides by zero.
    """

    def __init__(self, start_m: Tensor, floor: float, smoothing: float) -> None:
        self._mean, self._floor, self._smoothing = start_m, floor, smoothing

    def update(self, lack_m: Tensor, rows_m: Tensor) -> None:
        """Fold in a batch: its lack and how many of its rows hold each modality, both ``(held,)``."""
        moved = self._smoothing * self._mean + (1 - self._smoothing) * lack_m.to(self._mean.dtype)
        self._mean = torch.where(rows_m > 0, moved, self._mean)

    def value(self) -> Tensor:
        """B_m, ``(held,)``."""
        return self._floor + self._mean


class AdaptiveCapability:
    """B_m = exp(a_m), where a_m gathers how far the gap of m stands above the mean gap.

    a_m <- smoothing a_m + rate (gap_m - mean gap), at least log of the floor: exponentiated-gradient weights on
    groups (group DRO: Sagawa et al., ICLR 2020, Algorithm 1, with modalities as groups and gaps as losses), with
    forgetting, since gaps close while a group's loss need not. A constant excess x ends at B = exp(rate x / (1 -
    smoothing)).
    """

    def __init__(self, start_m: Tensor, floor: float, smoothing: float, rate: float) -> None:
        self._floor, self._smoothing, self._rate = floor, smoothing, rate
        self._log = rate * (start_m - start_m.mean()) / (1 - smoothing)

    def update(self, lack_m: Tensor, rows_m: Tensor) -> None:
        """Fold in a batch; modalities that it lacks stay, and the mean is over those that it holds."""
        here = rows_m > 0
        mean = torch.where(here, lack_m, 0.0).sum() / here.sum().clamp(min=1)
        moved = self._smoothing * self._log + self._rate * (lack_m - mean).to(self._log.dtype)
        self._log = torch.where(here, moved, self._log)

    def value(self) -> Tensor:
        """B_m, ``(held,)``, at least the floor."""
        return self._log.exp().clamp(min=self._floor)


class LearningCapability:
    """The running weights w_m of one local training.

    Attributes:
        held: modalities that the site holds, in data set order; all weights are in this order.
        columns: their columns in data set order, int64 on the device.
    """

    def __init__(self, config: MceConfig, facts: SiteFacts, device: torch.device) -> None:
        factors = rarity(config.rarity, facts)
        self.held = list(factors)
        columns = [facts.modalities.index(m) for m in self.held]
        # Made on the host: a tensor made on a GPU from a list waits for it.
        self.columns = torch.tensor(columns, dtype=torch.int64).to(device, non_blocking=True)
        self._config = config
        self._rarity = torch.tensor([factors[m] for m in self.held]).to(device, non_blocking=True)
        start = torch.tensor([facts.lack.get(m, 0.5) for m in self.held]).to(device, non_blocking=True)
        self._capability: Capability | AdaptiveCapability | None = None
        if config.capability == "adaptive":
            self._capability = AdaptiveCapability(
                start, config.capability_floor, config.smoothing, config.adaptive_rate
            )
        elif config.capability != "off":
            self._capability = Capability(start, config.capability_floor, config.smoothing)

    @property
    def observes(self) -> bool:
        """Batches change the weights."""
        return self._capability is not None

    def observe(self, lack_m: Tensor, rows_m: Tensor) -> None:
        """Fold in a batch; both ``(modalities,)`` in data set order."""
        if self._capability is not None:
            self._capability.update(lack_m[self.columns], rows_m[self.columns])

    def weights(self) -> Tensor:
        """w_m, ``(held,)``."""
        capability = torch.ones_like(self._rarity) if self._capability is None else self._capability.value()
        return modality_weights(self._rarity, capability, self._config.weight_cap, self._config.normalise)

    def loss_weights(self) -> Tensor:
        """Weights of the unimodal and completion losses, ``(held,)``: w_m if the incentive is there, else 1."""
        return self.weights() if self._config.incentive == "loss" else torch.ones_like(self._rarity)

    def emphasis(self) -> Emphasis:
        """Multiples of step size or passes; waits for the device, so it is read once per local epoch."""
        if self._config.incentive == "loss":
            return Emphasis()
        multiple = relative(self.weights(), self._config.incentive_cap).tolist()
        by_name = dict(zip(self.held, multiple, strict=True))
        return Emphasis(step=by_name) if self._config.incentive == "step" else Emphasis(rows=by_name)


def relative(weight_m: Tensor, cap: float) -> Tensor:
    """w_m relative to the best-equipped modality, from 1 to ``cap``; ``(held,)``."""
    return (weight_m / weight_m.min().clamp(min=1e-6)).clamp(min=1.0, max=cap)
