"""``late_fusion``: every modality is a classifier of its own; the prediction is the mean of their probabilities (UME).

Du et al.: "On Uni-Modal Feature Learning in Supervised Multi-Modal Learning", ICML 2023 (uni-modal ensemble):
L = sum over modalities m in the batch of the mean cross entropy of head_m over the rows that hold m. A sum, not a
mean: no modality's gradient depends on whether others are there, so each learns as in a run of its own. The
prediction from a subset S is log (1 / |S|) sum over m in S of softmax(u_m) (``model.fusion=late``).

There is no fusion to break, and any pattern is answered: a method that does not beat this has gained nothing from
fusing. Its scores on single modalities are the unimodal bound per modality: what federated averaging of one encoder
and head over its holders reaches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.baselines import LateFusionConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, SiteFacts, full_precision, objective, to_device
from fedmce.objectives.unimodal import unimodal_loss


class LateFusionObjective(Even):
    """Sum of the unimodal losses; fusion and projections of a network that has them are not touched."""

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        unimodal_bmc = net.unimodal(net.encode(batch), batch.values)
        assert unimodal_bmc is not None
        logits_bmc = full_precision(unimodal_bmc)
        # unimodal_loss divides by the modalities in the batch.
        weight_m = logits_bmc.new_full((logits_bmc.shape[1],), int(available.any(axis=0).sum()))
        loss = unimodal_loss(logits_bmc, batch.targets, to_device(available, batch.targets.device), weight_m)
        return Loss(loss, {"unimodal": loss.detach()})


@objective("late_fusion")
def late_fusion(config: LateFusionConfig, facts: SiteFacts, generator: np.random.Generator) -> LateFusionObjective:
    """Unimodal classifiers side by side."""
    return LateFusionObjective()
