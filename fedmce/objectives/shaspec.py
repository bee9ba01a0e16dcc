"""``shaspec``: task loss, alignment of shared features, and a guess of the modality from specific ones.

Wang et al., "Multi-modal Learning with Missing Modality via Shared-Specific Feature Modelling", CVPR 2023:
L = L_task + alpha mean |s_i - s_j| + beta CE(domain(p_m), m). ShaSpec-like: the public code aligns a ring of pairs
and lets features of zeros, in place of absent modalities, into both auxiliary losses; here pairs and guesses are of
present modalities alone. The network is :class:`fedmce.models.shaspec.ShaSpecFusion`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines_central import ShaspecConfig
from fedmce.errors import ConfigError
from fedmce.models import Batch, MultimodalNet
from fedmce.models.shaspec import ShaSpecFusion
from fedmce.objectives.objective import Even, Loss, SiteFacts, full_precision, objective, to_device


def alignment(shared_bmd: Tensor, available: npt.NDArray[np.bool_]) -> Tensor:
    """Mean over the pairs of modalities that a row holds of mean |s_i - s_j|; 0 if no row holds two.

    Args:
        shared_bmd: shared features ``(rows, modalities, width)``; any value where the row lacks the modality.
        available: bool ``(rows, modalities)``.
    """
    both = available[:, :, None] & available[:, None, :]
    row, first, second = np.nonzero(np.triu(both, k=1))
    if not len(row):
        return shared_bmd.new_zeros(())
    flat = shared_bmd.flatten(0, 1)
    modalities = available.shape[1]
    ends = [to_device(row * modalities + column, flat.device) for column in (first, second)]
    return (flat.index_select(0, ends[0]) - flat.index_select(0, ends[1])).abs().mean()


def domain_loss(logits_tm: Tensor, modality_t: Tensor, held_m: Tensor) -> Tensor:
    """Cross entropy of which modality a feature comes from, among those that the site holds.

    Args:
        logits_tm: ``(features, modalities)``.
        modality_t: the true one, int64 ``(features,)``.
        held_m: bool; without the mask a site would push down modalities that it never sees.
    """
    return F.cross_entropy(logits_tm.masked_fill(~held_m, float("-inf")), modality_t)


class ShaspecObjective(Even):
    """Task + alpha alignment + beta domain."""

    def __init__(self, config: ShaspecConfig, facts: SiteFacts) -> None:
        self._config = config
        self._held = np.array([facts.rows_by_modality.get(m, 0) > 0 for m in facts.modalities])

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        if not isinstance(net.fusion, ShaSpecFusion):
            raise ConfigError(f"objective=shaspec: given model.fusion={net.spec.fusion}; needed model.fusion=shaspec")
        device = batch.targets.device
        token, member = net.encode(batch), to_device(available, device)
        logits = net.fuse(token, torch.arange(batch.rows, device=device), member, present=batch.values)
        task = F.cross_entropy(full_precision(logits), batch.targets)
        parts = {"task": task} | self._auxiliary(net.fusion, token, available)
        weight = {"task": 1.0, "alignment": self._config.alignment_weight, "domain": self._config.domain_weight}
        total = task
        for name in ("alignment", "domain"):
            if weight[name] > 0:
                total = total + weight[name] * parts[name]
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def _auxiliary(self, fusion: ShaSpecFusion, token: Tensor, available: npt.NDArray[np.bool_]) -> dict[str, Tensor]:
        device = token.device
        row, modality = np.nonzero(available)
        # Features of present modalities alone: the rest is never computed, so nothing of it can leak.
        specific = token[to_device(row, device), to_device(modality, device)]
        held = to_device(self._held, device)
        domain = domain_loss(full_precision(fusion.domain(specific)), to_device(modality, device), held)
        place = to_device(row * available.shape[1] + modality, device)
        features = full_precision(fusion.shared(specific))
        blank = features.new_zeros(available.size, features.shape[1])
        shared = blank.index_copy(0, place, features).reshape(*available.shape, -1)
        return {"alignment": alignment(shared, available), "domain": domain}


@objective("shaspec")
def shaspec(config: ShaspecConfig, facts: SiteFacts, generator: np.random.Generator) -> ShaspecObjective:
    """Shared and specific features."""
    return ShaspecObjective(config, facts)
