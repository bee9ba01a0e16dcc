"""``passion``: the full prediction teaches each single modality, and those that lag behind learn more.

Shi et al., "PASSION: Towards Effective Incomplete Multi-Modal Medical Image Segmentation with Imbalanced Missing
Rates", ACM MM 2024. Per row, p is the prediction from everything (no gradient), p_m that from modality m alone, f and
f_m the fused states behind them, proto_c the mean state of the rows of class c in the batch:

K_m  = T^2 mean over rows and classes of p log(p / p_m) at temperature T, probabilities at least 0.005
D_m  = mean over classes of |cos(f_m, proto_c) - cos(f, proto_c)|;  Pr_m = the mean of its square
g_m  = 1[sum over rows (D_m / mean over the row's modalities of D - 1) > 0]
L    = L_task + sum_m g_m beta_m omega_m CE_m + 0.5 sum_m beta_m omega_m K_m + 0.1 sum_m g_m omega_m Pr_m

omega_m = N_k / n_km of the site. After each local epoch rp_m = (mean D - D_m) / mean D of the epoch,
beta_m <- clip(beta_m - eta rp_m, 0.1, 4), beta <- sqrt(M_k) beta / ||beta||_2; beta stays at the site. PASSION-like:
students go through the same fusion instead of decoders of their own, there is no loss inside a decoder, states are
vectors instead of maps, and eta has a cap. Rows with one modality are skipped: student and teacher are the same, and
D / mean D is 0 / 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines_central import PassionConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import (
    Arrays,
    Emphasis,
    Loss,
    SiteFacts,
    full_precision,
    objective,
    to_device,
)
from fedmce.objectives.preference import Preference
from fedmce.objectives.task import fused_task_loss


@dataclass(frozen=True)
class Students:
    """Single modalities of the rows that hold several, on the device.

    Attributes:
        row: of each student, int64 ``(students,)``.
        modality: column of each, int64 ``(students,)``.
        holds_bm: rows that hold several modalities, and which, bool ``(rows, modalities)``.
    """

    row: Tensor
    modality: Tensor
    holds_bm: Tensor

    @property
    def count_m(self) -> Tensor:
        """Students of each modality."""
        return self.holds_bm.sum(dim=0)

    def total(self, value_t: Tensor) -> Tensor:
        """Sum over the students of each modality, ``(modalities,)``."""
        return value_t.new_zeros(self.holds_bm.shape[1]).index_add(0, self.modality, value_t)

    def mean(self, value_t: Tensor) -> Tensor:
        """Mean over the students of each modality; 0 where there is none."""
        return self.total(value_t) / self.count_m.clamp(min=1)


class PassionObjective:
    """Task + single modalities + self-distillation + prototypes."""

    def __init__(self, config: PassionConfig, facts: SiteFacts) -> None:
        self._config = config
        rows = np.array([facts.rows_by_modality.get(m, 0) for m in facts.modalities])
        self._rarity = torch.from_numpy(np.where(rows > 0, facts.rows / np.maximum(rows, 1), 0.0))
        self.preference = Preference(config, facts.memory, rows > 0)
        self._is_plain = config.single_weight + config.distil_weight + config.prototype_weight == 0

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        several = available & (available.sum(axis=1, keepdims=True) > 1)
        if self._is_plain or not several.any():
            return fused_task_loss(net, batch, available)
        device, config = batch.targets.device, self._config
        row, modality = np.nonzero(several)
        alone = np.zeros((len(row), available.shape[1]), dtype=np.bool_)
        alone[np.arange(len(row)), modality] = True
        students = Students(to_device(row, device), to_device(modality, device), to_device(several, device))
        every = np.concatenate([np.arange(batch.rows), row])
        member = to_device(np.concatenate([available, alone]), device)
        logits, states = net.fuse_states(net.encode(batch), to_device(every, device), member, present=batch.values)
        logits, states = full_precision(logits), full_precision(states)
        return self._loss(batch, students, logits, states, config)

    def _loss(self, batch: Batch, students: Students, logits: Tensor, states: Tensor, config: PassionConfig) -> Loss:
        full, single = logits[: batch.rows], logits[batch.rows :]
        gap_tc, classes = prototype_gaps(
            states[batch.rows :], states[: batch.rows].detach(), batch.targets, students, full.shape[1]
        )
        apart_t = gap_tc.detach().abs().sum(dim=1) / classes
        lags_m = lagging(apart_t, students).to(logits.dtype)
        self.preference.observe(students.total(apart_t), students.count_m)
        rarity_m = self._rarity.to(logits.device, logits.dtype)
        beta_m = self.preference.weight_m.to(logits.dtype)
        single_t = F.cross_entropy(single, batch.targets[students.row], reduction="none")
        distil_t = soft_distance(full.detach()[students.row], single, config.temperature, config.probability_floor)
        parts = {
            "task": F.cross_entropy(full, batch.targets),
            "single": (lags_m * beta_m * rarity_m * students.mean(single_t)).sum(),
            "distil": (beta_m * rarity_m * students.mean(distil_t)).sum(),
            "prototype": (lags_m * rarity_m * students.mean(gap_tc.square().sum(dim=1) / classes)).sum(),
        }
        total = (
            parts["task"]
            + config.single_weight * parts["single"]
            + config.distil_weight * parts["distil"]
            + config.prototype_weight * parts["prototype"]
        )
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def emphasis(self) -> Emphasis:
        """Nothing; a local epoch begins, so the one before is over."""
        self.preference.end_epoch()
        return Emphasis()

    def after_backward(self, net: MultimodalNet) -> None:
        """Gradients stay."""

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Nothing travels; beta is kept at the site."""
        self.preference.end_epoch()
        self.preference.keep()
        return {}


def soft_distance(teacher: Tensor, student: Tensor, temperature: float, floor: float) -> Tensor:
    """T^2 times the mean over classes of q log(q / p), ``(students,)``; both are logits ``(students, classes)``.

    The mean is over classes too, as published: the scale differs from a KL divergence by their number.
    """
    q = (teacher / temperature).softmax(dim=1).clamp(min=floor)
    p = (student / temperature).softmax(dim=1).clamp(min=floor)
    return temperature**2 * (q * (q / p).log()).mean(dim=1)


def prototype_gaps(
    alone_th: Tensor, full_bh: Tensor, target_b: Tensor, students: Students, classes: int
) -> tuple[Tensor, Tensor]:
    """cos(f_m, proto_c) - cos(f, proto_c) of each student.

    Args:
        alone_th: state of each student.
        full_bh: state of each row from everything, without gradient.
        target_b: class of each row.
        students: whose they are.
        classes: number of classes.

    Returns:
        Gaps ``(students, classes)``, 0 for a class that no row with several modalities has; and the number of the
        other classes, at least 1.
    """
    taught = students.holds_bm.any(dim=1).to(full_bh.dtype)
    one_hot = F.one_hot(target_b, classes).to(full_bh.dtype) * taught[:, None]
    count = one_hot.sum(dim=0)
    proto = F.normalize(one_hot.T @ full_bh / count.clamp(min=1)[:, None], dim=1)
    of_student, of_row = F.normalize(alone_th, dim=1) @ proto.T, F.normalize(full_bh, dim=1) @ proto.T
    here = count > 0
    return torch.where(here, of_student - of_row[students.row], 0.0), here.sum().clamp(min=1)


def lagging(apart_t: Tensor, students: Students) -> Tensor:
    """g_m, ``(modalities,)`` bool: modalities that stand further from the prototypes than their rows' mean.

    Rows whose gaps are all 0 say nothing.
    """
    rows = len(students.holds_bm)
    total = apart_t.new_zeros(rows).index_add(0, students.row, apart_t)
    mean = (total / students.holds_bm.sum(dim=1).clamp(min=1))[students.row]
    return students.total(torch.where(mean > 0, apart_t / mean.clamp(min=1e-12) - 1, 0.0)) > 0


@objective("passion")
def passion(config: PassionConfig, facts: SiteFacts, generator: np.random.Generator) -> PassionObjective:
    """Self-distillation from all modalities to each."""
    return PassionObjective(config, facts)
