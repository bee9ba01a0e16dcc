"""``prototypes``: tokens are drawn to federated prototypes per modality and class (MFCPL-like).

In the manner of Le et al., "Cross-Modal Prototype based Multimodal Federated Learning under Severely Missing
Modality" (arXiv 2401.13898: prototypes, cross-modal alignment and contrast) and of PmcmFL (prototypes in place of
absent modalities). The equations are ours, since those of the paper could not be read:

P_kmy = mean token of m over the site's rows that hold m, of class y, after training; none without such rows.
P_my  = sum over sites n_kmy P_kmy / sum n_kmy; stays as it was where nobody has such rows.
L     = CE(T, e) + a sum over m in e_i of |t_im - P_m,y_i|^2 + b InfoNCE(t_im, all P_m'y'; positives y' = y_i)
        + c CE(tokens with P_m,y^ in place of absent ones),  y^ the class that is predicted from what the row holds

Prototypes and y^ are without gradient. y^, not the true class: the prototype of y_i in place of an absent token would
give the class away. The fill is a regulariser of training alone: at test a subset is predicted from what it
holds, since prototypes are no part of the saved model. Every site gets the prototypes of all modalities, also of
those that it lacks. Each site tells its shares of classes per modality (a histogram of labels leaves the site).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines import PrototypesConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.contrast import class_contrast
from fedmce.objectives.objective import Arrays, Even, Loss, SiteFacts, full_precision, objective, to_device
from fedmce.objectives.prototype_bank import KNOWN, PROTOTYPE, SHARE, class_means


class PrototypesObjective(Even):
    """Task, alignment, contrast, and the task again with filled tokens; the task alone until something is known.

    Args:
        config: weights.
        facts: the prototypes among the shared arrays.
    """

    def __init__(self, config: PrototypesConfig, facts: SiteFacts) -> None:
        self._config, self._names = config, facts.modalities
        found = facts.shared
        self._known = np.stack([found[KNOWN + m] for m in facts.modalities]) > 0
        self._prototype = np.stack([found[PROTOTYPE + m] for m in facts.modalities])
        self._on_device: tuple[Tensor, Tensor] | None = None

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        config, device = self._config, batch.targets.device
        token_bmd, member_bm = net.encode(batch), to_device(available, device)
        row_b = torch.arange(batch.rows, device=device)
        logits_bc = full_precision(net.fuse(token_bmd, row_b, member_bm, present=batch.values))
        parts = {"task": F.cross_entropy(logits_bc, batch.targets)}
        weight = {"align": config.align_weight, "contrast": config.contrast_weight, "fill": config.fill_weight}
        weight = {name: value for name, value in weight.items() if value > 0 and self._known.any()}
        if "align" in weight:
            parts["align"] = self._alignment(full_precision(token_bmd), batch.targets, member_bm)
        if "contrast" in weight:
            parts["contrast"] = self._contrast(full_precision(token_bmd), batch.targets, available)
        if "fill" in weight:
            parts["fill"] = self._filled(net, batch, token_bmd, member_bm, logits_bc.detach().argmax(dim=1))
        total = torch.stack([weight.get(name, 1.0) * part for name, part in parts.items()]).sum()
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Per modality that the site holds, ``prototype/<m>`` ``(classes, width)`` and ``share/<m>`` ``(classes,)``."""
        token: dict[str, list[npt.NDArray[np.float64]]] = {m: [] for m in net.held}
        target: dict[str, list[npt.NDArray[np.int64]]] = {m: [] for m in net.held}
        for batch, _ in batches:
            found = net.encode(batch).double()
            for column, name in enumerate(net.spec.names):
                if name in batch.position and name in token:
                    where = batch.position[name]
                    token[name].append(found[where, column].cpu().numpy())
                    target[name].append(batch.targets[where].cpu().numpy())
        told: Arrays = {}
        for name in net.held:
            held = np.concatenate([*token[name], np.zeros((0, net.spec.width))])
            of_class = np.concatenate([*target[name], np.zeros(0, np.int64)])
            mean, rows = class_means(held, of_class, len(net.spec.classes))
            told[PROTOTYPE + name] = mean.astype(np.float32)
            told[SHARE + name] = (rows / max(len(held), 1)).astype(np.float32)
        return told

    def _place(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Prototypes ``(modalities, classes, width)`` and which are known, bool ``(modalities, classes)``."""
        if self._on_device is None:
            dtype = torch.promote_types(like.dtype, torch.float32)
            self._on_device = (
                to_device(self._prototype, like.device).to(dtype),
                to_device(self._known, like.device),
            )
        return self._on_device

    def _alignment(self, token_bmd: Tensor, target_b: Tensor, member_bm: Tensor) -> Tensor:
        """Mean over rows of the summed squared distances of tokens from the known prototypes of their class."""
        prototype_mcd, known_mc = self._place(token_bmd)
        counts_bm = member_bm & known_mc[:, target_b].T
        apart_bmd = token_bmd - prototype_mcd[:, target_b].transpose(0, 1)
        return torch.where(counts_bm[:, :, None], apart_bmd, 0.0).square().sum() / len(target_b)

    def _contrast(self, token_bmd: Tensor, target_b: Tensor, available: npt.NDArray[np.bool_]) -> Tensor:
        """Every token of the batch against every known prototype of every modality."""
        prototype_mcd, _ = self._place(token_bmd)
        row, column = (to_device(found, target_b.device) for found in np.nonzero(available))
        modality, known = (to_device(found, target_b.device) for found in np.nonzero(self._known))
        return class_contrast(
            token_bmd[row, column], target_b[row], prototype_mcd[modality, known], known, self._config.temperature
        )

    def _filled(
        self, net: MultimodalNet, batch: Batch, token_bmd: Tensor, member_bm: Tensor, guess_b: Tensor
    ) -> Tensor:
        """Mean loss over the rows of which something could be filled; 0 if there are none."""
        prototype_mcd, known_mc = self._place(token_bmd)
        can_m = to_device(np.array([m in net.held and m in batch.values for m in self._names]), member_bm.device)
        fill_bm = ~member_bm & known_mc[:, guess_b].T & can_m
        stand_in_bmd = prototype_mcd[:, guess_b].transpose(0, 1).to(token_bmd.dtype)
        whole_bmd = torch.where(fill_bm[:, :, None], stand_in_bmd, token_bmd)
        row_b = torch.arange(batch.rows, device=member_bm.device)
        logits_bc = full_precision(net.fuse(whole_bmd, row_b, member_bm | fill_bm, present=batch.values))
        counts_b = fill_bm.any(dim=1).to(logits_bc.dtype)
        loss_b = F.cross_entropy(logits_bc, batch.targets, reduction="none")
        return (counts_b * loss_b).sum() / counts_b.sum().clamp(min=1)


@objective("prototypes")
def prototypes(config: PrototypesConfig, facts: SiteFacts, generator: np.random.Generator) -> PrototypesObjective:
    """The task loss with prototypes."""
    return PrototypesObjective(config, facts)
