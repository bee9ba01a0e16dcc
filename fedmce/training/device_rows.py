"""A site's observed rows on the device, normalised once, cut into batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from fedmce.missingness import ObservedRows
from fedmce.models import Batch, Statistics, normalise


class DeviceRows:
    """Observed rows of one site and split, resident on the device.

    Args:
        rows: what the site may see.
        statistics: pooled mean and standard deviation per modality that the site holds.
        modalities: names in data set order.
        device: where the values go.
    """

    def __init__(
        self,
        rows: ObservedRows,
        statistics: Mapping[str, Statistics],
        modalities: tuple[str, ...],
        device: torch.device,
    ) -> None:
        self.observed = rows
        self.device = device
        self._modalities = modalities
        self._targets = torch.from_numpy(rows.targets).to(device)
        self._values = {
            name: torch.from_numpy(normalise(rows.values[name], statistics[name])).to(device)
            for name in modalities
            if name in statistics and len(rows.values[name])
        }

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.observed.rows

    def batch(self, chosen: npt.NDArray[np.int64]) -> tuple[Batch, npt.NDArray[np.bool_]]:
        """The chosen rows, and their availability bool ``(rows, modalities)`` on the CPU."""
        available = self.observed.available[chosen]
        values, position = {}, {}
        for column, name in enumerate(self._modalities):
            where = np.flatnonzero(available[:, column])
            if len(where) and name in self._values:
                slot = torch.from_numpy(self.observed.slot[chosen[where], column]).to(self.device, non_blocking=True)
                values[name] = self._values[name].index_select(0, slot)
                position[name] = torch.from_numpy(where).to(self.device, non_blocking=True)
        rows = torch.from_numpy(chosen).to(self.device, non_blocking=True)
        return Batch(len(chosen), values, position, self._targets.index_select(0, rows)), available
