"""``modality_dropout``: the task loss on a random non-empty part of what each row holds.

Neverova et al., "ModDrop", TPAMI 2016. The strong cheap baseline.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ModalityDropoutConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, SiteFacts, objective
from fedmce.objectives.task import fused_task_loss


def dropped(available_bm: npt.NDArray[np.bool_], rate: float, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Hide each present modality with probability ``rate``; rows left with nothing are drawn again."""
    kept = available_bm & (generator.random(available_bm.shape) >= rate)
    while (empty := np.flatnonzero(~kept.any(axis=1))).size:
        kept[empty] = available_bm[empty] & (generator.random((len(empty), available_bm.shape[1])) >= rate)
    return kept


class ModalityDropout(Even):
    """mean_i l(g(T_i, S_i), y_i) with S_i a random non-empty part of e_i."""

    def __init__(self, rate: float, generator: np.random.Generator) -> None:
        self._rate, self._generator = rate, generator

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        return fused_task_loss(net, batch, dropped(available, self._rate, self._generator))


@objective("modality_dropout")
def modality_dropout(
    config: ModalityDropoutConfig, facts: SiteFacts, generator: np.random.Generator
) -> ModalityDropout:
    """Modality dropout at the configured rate."""
    return ModalityDropout(config.rate, generator)
