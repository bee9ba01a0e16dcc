"""``redcore``: completion of every modality, weighted by how hard it is to guess.

Sun et al., "RedCore: Relative Advantage Aware Cross-modal Representation Learning for Missing Modalities with
Imbalanced Missing Rates", AAAI 2024:

R_m  = mean over rows that hold m and another of |guess_m - token_m|^2; running mean with share rho of the newest batch
r_m  = (mean R - R_m) / mean R; every I steps beta_m <- max(floor, beta_m - eta r_m), beta <- beta / ||beta||_2
L    = CE(fused) + sum_m CE(head_m) + lambda sum_m beta_m R_m

With ``model.absent=completed`` the fused prediction and the heads read completed tokens where a modality is absent, so
labels supervise completion; that is the point of the method. RedCore-like: without the variational part (means
instead of samples, no KL terms), the squared distance is a mean over the entries of a token, the target is detached,
beta starts at length 1 (from ones its first step would cut lambda by a square root), eta has a cap, and modalities
that a site lacks leave all means. beta, the running errors and the step counter stay at the site from round to round.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines_central import RedcoreConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Arrays, Even, Loss, SiteFacts, full_precision, objective, to_device
from fedmce.objectives.regulator import grown, regulated


class Regulator:
    """beta_m and the running errors R_m over the steps of a site.

    Args:
        config: rho, eta and its schedule, floor.
        memory: where they are found and kept, under names that begin with ``redcore.``.
        held: which modalities the site holds, bool ``(modalities,)``.
    """

    def __init__(self, config: RedcoreConfig, memory: Arrays, held: npt.NDArray[np.bool_]) -> None:
        self._config, self._memory = config, memory
        blank = np.zeros(len(held), np.float32)
        even = np.where(held, 1 / np.sqrt(max(held.sum(), 1)), 0).astype(np.float32)
        self._weight = torch.from_numpy(memory.get("redcore.weight", even).copy())
        self._error = torch.from_numpy(memory.get("redcore.error", blank).copy())
        self._seen = memory.get("redcore.seen", blank) > 0
        self._steps = int(memory.get("redcore.steps", np.zeros(1))[0])

    @property
    def weight_m(self) -> Tensor:
        """beta_m, ``(modalities,)``, on the device of the last errors."""
        return self._weight

    def observe(self, error_m: Tensor, here: npt.NDArray[np.bool_]) -> None:
        """Fold in a batch: errors, and which modalities it could grade. What it could not grade stays as it was."""
        self._weight, self._error = self._weight.to(error_m.device), self._error.to(error_m.device)
        here_m, seen_m = to_device(here, error_m.device), to_device(self._seen, error_m.device)
        error_m = error_m.detach().to(self._error.dtype)
        moved = torch.where(seen_m, self._error.lerp(error_m, self._config.newest), error_m)
        self._error = torch.where(here_m, moved, self._error)
        self._seen = self._seen | here
        told, done = self._config, self._steps
        self._steps += 1
        if self._seen.any() and self._steps % told.every == 0 and told.step > 0:
            columns = to_device(np.flatnonzero(self._seen), error_m.device)
            step = grown(told.step, told.growth, told.growth_every, told.step_cap, done)
            fresh = regulated(self._weight[columns], self._error[columns], step, told.floor)
            self._weight = self._weight.index_copy(0, columns, fresh)

    def keep(self) -> None:
        """Write everything to the memory of the site."""
        self._memory["redcore.weight"] = self._weight.cpu().numpy().astype(np.float32)
        self._memory["redcore.error"] = self._error.cpu().numpy().astype(np.float32)
        self._memory["redcore.seen"] = self._seen.astype(np.float32)
        self._memory["redcore.steps"] = np.array([self._steps], np.float32)


class RedcoreObjective(Even):
    """Task + heads + regulated completion."""

    def __init__(self, config: RedcoreConfig, facts: SiteFacts) -> None:
        self._config = config
        self.regulator = Regulator(
            config, facts.memory, np.array([facts.rows_by_modality.get(m, 0) > 0 for m in facts.modalities])
        )

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        device, config = batch.targets.device, self._config
        token, member = net.encode(batch), to_device(available, device)
        given, has = token, member
        if net.spec.absent == "completed":
            given, _, has = net.substitute(token, torch.arange(batch.rows, device=device), member, batch.values)
        logits = net.fuse_given(given, has, batch.values)
        total = task = F.cross_entropy(full_precision(logits), batch.targets)
        parts = {"task": task}
        if config.head_weight > 0:
            parts["unimodal"] = _head_losses(net, batch, given, has)
            total = total + config.head_weight * parts["unimodal"]
        if config.completion_weight > 0:
            error_m, here = completion_errors(net, full_precision(token), available)
            self.regulator.observe(error_m, here)
            parts["completion"] = (self.regulator.weight_m * error_m).sum()
            total = total + config.completion_weight * parts["completion"]
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Nothing travels; the regulator is kept at the site."""
        self.regulator.keep()
        return {}


def _head_losses(net: MultimodalNet, batch: Batch, token_bmd: Tensor, has_bm: Tensor) -> Tensor:
    """Sum over the modalities of the batch of the mean loss of their heads, on completed tokens too."""
    logits = net.unimodal(token_bmd, batch.values)
    assert logits is not None
    rows, modalities, classes = logits.shape
    target = batch.targets.repeat_interleave(modalities)
    loss = F.cross_entropy(full_precision(logits).reshape(-1, classes), target, reduction="none")
    kept = torch.where(has_bm, loss.reshape(rows, modalities), 0.0)
    return (kept.sum(dim=0) / has_bm.sum(dim=0).clamp(min=1)).sum()


def completion_errors(
    net: MultimodalNet, token_bmd: Tensor, available: npt.NDArray[np.bool_]
) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """R_m per modality, ``(modalities,)``, and where the batch has rows to grade it on; 0 elsewhere.

    A row grades m if it holds m and another modality: from nothing there is nothing to guess.
    """
    device, several = token_bmd.device, available.sum(axis=1) > 1
    errors, here = [], np.zeros(available.shape[1], dtype=np.bool_)
    for column, name in enumerate(net.spec.names):
        rows = np.flatnonzero(available[:, column] & several)
        if not len(rows) or name not in net.completion:
            errors.append(token_bmd.new_zeros(()))
            continue
        here[column] = True
        rest = available[rows].copy()
        rest[:, column] = False
        row = to_device(rows, device)
        guess = full_precision(net.completion[name](token_bmd[row], to_device(rest, device)))
        errors.append((guess - token_bmd[row, column].detach()).square().mean())
    return torch.stack(errors), here


@objective("redcore")
def redcore(config: RedcoreConfig, facts: SiteFacts, generator: np.random.Generator) -> RedcoreObjective:
    """Regulated completion."""
    return RedcoreObjective(config, facts)
