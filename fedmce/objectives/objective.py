"""What a local objective is, what it knows of its site, and the registry of objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.models import Batch, MultimodalNet
from fedmce.registry import registrar


@dataclass(frozen=True)
class Loss:
    """Loss of one batch: the scalar to minimise and its named parts (detached scalars)."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class SiteFacts:
    """What an objective may know before it sees a batch.

    Attributes:
        modalities: names in data set order.
        rows: training rows of the site, N_k.
        rows_by_modality: of these, rows that hold m: n_km.
        all_rows: training rows of all sites, sum N_k, from the profile round.
        all_rows_by_modality: sum over sites of n_km.
        gap: per modality, how often the received model was right with everything where the unimodal
            head was wrong; starting value of B_m. A modality that the site lacks may be left out.
    """

    modalities: tuple[str, ...]
    rows: int
    rows_by_modality: dict[str, int]
    all_rows: int
    all_rows_by_modality: dict[str, int]
    gap: dict[str, float]


class Objective(Protocol):
    """Callable that turns a batch into a loss; may carry running quantities of one local training."""

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of a batch whose availability is bool ``(rows, modalities)`` (on the CPU)."""
        ...


def full_precision(value: Tensor) -> Tensor:
    """At least float32, so that losses add up in full precision under AMP; doubles stay doubles."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


Factory = Callable[[Any, SiteFacts, np.random.Generator], Objective]
OBJECTIVES: dict[str, Factory] = {}
# its config, facts, generator -> objective for one local training
objective = registrar(OBJECTIVES, "objective")
