"""A site's observed rows on the device, normalised once, cut into batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.missingness import ObservedRows
from fedmce.models import Batch, Statistics, normalise
from fedmce.objectives.objective import to_device
from fedmce.training.neighbours import Imputer

FREE_SHARE = 0.5  # of the free memory of a GPU that the rows of a site may take


class DeviceRows:
    """Observed rows of one site and split, resident on the device if they fit.

    Args:
        rows: what the site may see.
        statistics: pooled mean and standard deviation per modality that the site holds.
        modalities: names in data set order.
        device: where batches go.
        resident: ``always``, ``never`` (rows stay in host memory, batches are copied from pinned memory without
            waiting), or ``auto``: if they take at most half of the device's free memory.
        imputer: fills what rows lack with their neighbours' values (``model.absent=knn_input``).
    """

    def __init__(
        self,
        rows: ObservedRows,
        statistics: Mapping[str, Statistics],
        modalities: tuple[str, ...],
        device: torch.device,
        resident: str = "auto",
        imputer: Imputer | None = None,
    ) -> None:
        self.observed = rows
        self._imputer = imputer
        self.device = device
        self._modalities, self._scales = modalities, statistics
        self._targets = torch.from_numpy(rows.targets).to(device)
        values = {
            name: torch.from_numpy(normalise(rows.values[name], statistics[name]))
            for name in modalities
            if name in statistics and len(rows.values[name])
        }
        stays = resident == "always" or (resident == "auto" and _fits(values, device))
        self._home = device if stays else torch.device("cpu")
        self._values = {name: value.to(self._home) for name, value in values.items()}

    @property
    def fills(self) -> bool:
        """Batches hold a sample of every modality, other rows' means in place of what a row lacks."""
        return self._imputer is not None

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.observed.rows

    def batch(
        self, chosen: npt.NDArray[np.int64], mask_bm: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Batch, npt.NDArray[np.bool_]]:
        """The chosen rows, and their availability bool ``(rows, modalities)`` on the CPU.

        Args:
            chosen: rows of the site.
            mask_bm: hides more than the rows' own gaps; a row that would be left with nothing keeps what it has.
        """
        available = self.observed.available[chosen]
        if mask_bm is not None:
            available = left_of(available, mask_bm)
        if self._imputer is not None:
            return self.filled(chosen, available), available
        values, position = {}, {}
        for column, name in enumerate(self._modalities):
            where = np.flatnonzero(available[:, column])
            if len(where) and name in self._values:
                values[name] = self._samples(name, self.observed.slot[chosen[where], column])
                position[name] = to_device(where, self.device)
        index = to_device(chosen, self.device)
        return Batch(len(chosen), values, position, self._targets.index_select(0, index), index), available

    def filled(self, chosen: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_]) -> Batch:
        """Rows with the given members of what they hold, and stand-ins for all else, as a batch.

        Args:
            chosen: a row of the site per pair, int64 ``(pairs,)``.
            member_pm: what is looked at of each, bool ``(pairs, modalities)``.
        """
        assert self._imputer is not None, "these rows have no neighbours"
        index, every = to_device(chosen, self.device), to_device(np.arange(len(chosen)), self.device)
        values = {}
        for column, name in enumerate(self._modalities):
            if name not in self._scales:
                continue
            own, other = np.flatnonzero(member_pm[:, column]), np.flatnonzero(~member_pm[:, column])
            made = to_device(self._imputer.stand_ins(chosen[other], member_pm[other], column), self.device)
            values[name] = made.new_zeros(len(chosen), *made.shape[1:])
            values[name].index_copy_(0, to_device(other, self.device), made)
            if len(own):
                samples = self._samples(name, self.observed.slot[chosen[own], column])
                values[name].index_copy_(0, to_device(own, self.device), samples)
        return Batch(len(chosen), values, dict.fromkeys(values, every), self._targets.index_select(0, index), index)

    def without_donor(self, row: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
        """Per modality how many stand-ins these pairs need, and how many of them are the federated mean."""
        assert self._imputer is not None, "these rows have no neighbours"
        found = {}
        for column, name in enumerate(self._modalities):
            if name in self._scales:
                other = np.flatnonzero(~member_pm[:, column])
                found[name] = len(other), self._imputer.without_donor(row[other], member_pm[other], column)
        return found

    def _samples(self, name: str, slot: npt.NDArray[np.int64]) -> Tensor:
        """Stored samples of a modality, on the device."""
        found = self._values[name].index_select(0, to_device(slot, self._home))
        return found if self._home == self.device else found.pin_memory().to(self.device, non_blocking=True)


def left_of(available: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What rows hold under a further mask, bool ``(rows, modalities)``; one left with nothing keeps what it has."""
    kept = available & mask
    return np.where(kept.any(axis=1, keepdims=True), kept, available)


def _fits(values: Mapping[str, Tensor], device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return sum(value.nbytes for value in values.values()) <= FREE_SHARE * free
