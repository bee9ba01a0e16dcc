"""PASSION's relative preference: weights of modalities that follow the local epochs of a site."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.config.baselines_central import PassionConfig
from fedmce.objectives.objective import Arrays
from fedmce.objectives.regulator import grown, regulated


class Preference:
    """beta_m over the local epochs of a site.

    Args:
        config: eta and its schedule, bounds.
        memory: where beta and the number of epochs are found and kept, under names that begin with ``passion.``.
        held: which modalities the site holds, bool ``(modalities,)``.
    """

    def __init__(self, config: PassionConfig, memory: Arrays, held: npt.NDArray[np.bool_]) -> None:
        self._config, self._memory, self._held = config, memory, np.flatnonzero(held)
        self.weight_m = torch.from_numpy(memory.get("passion.weight", np.ones(len(held), np.float32)).copy())
        self._epochs = int(memory.get("passion.epochs", np.zeros(1))[0])
        self._apart: Tensor | None = None
        self._count: Tensor | None = None

    def observe(self, apart_m: Tensor, count_m: Tensor) -> None:
        """Add up D over the students of a batch, both ``(modalities,)``."""
        self.weight_m = self.weight_m.to(apart_m.device)
        self._apart = apart_m if self._apart is None else self._apart + apart_m
        self._count = count_m if self._count is None else self._count + count_m

    def end_epoch(self) -> None:
        """Step beta by what the epoch showed; nothing if it showed nothing. Waits for the device."""
        if self._apart is None or self._count is None:
            return
        apart, count = self._apart.detach().cpu(), self._count.cpu()
        self._apart = self._count = None
        seen = torch.from_numpy(self._held)[count[self._held] > 0]
        if len(seen):
            told = self._config
            step = grown(told.step, told.growth, told.growth_every, told.step_cap, self._epochs)
            weight = self.weight_m.cpu()
            mean = (apart[seen] / count[seen]).to(weight.dtype)
            fresh = regulated(weight[seen], mean, step, told.low, told.high) * len(seen) ** 0.5
            self.weight_m = weight.index_copy(0, seen, fresh).to(self.weight_m.device)
        self._epochs += 1

    def keep(self) -> None:
        """Write to the memory of the site."""
        self._memory["passion.weight"] = self.weight_m.cpu().numpy().astype(np.float32)
        self._memory["passion.epochs"] = np.array([self._epochs], np.float32)
