"""``flism``: contrast with a view that lacks modalities, distillation from the plain mean model, entropy weights.

Orzikulova et al.: "FLISM" (arXiv 2405.11828):
L = CE(f(x)) + SupCon(f_emb(x), f_emb(drop(x) + e); T) + kd KL(sg f_kd(x) || f(x)),  e ~ N(0, noise^2) on samples,
drop: one random part of the site's modalities per round, f_kd: the equal-weight mean of the same local models, and
w_k proportional to 1 / H_k, H_k the mean entropy of the site's predictions of its own training rows.

Differences: a masked fusion and components averaged over holders instead of zero-filled channels and one model; the
embedding is the fused state; rows of which the second view has nothing left out of the contrast; no distillation
in the first round, when the equal-weight model is the initial one; H_k is at least ``entropy_floor`` log C, since
1 / H rewards over-confidence without bound. Sites with one modality have no second view.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.aggregation import WEIGHTINGS, weighted_mean
from fedmce.config.baselines import FlismConfig
from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, component_of, components, modality_of, select
from fedmce.objectives.contrast import class_contrast
from fedmce.objectives.objective import Arrays, Even, Loss, SiteFacts, full_precision, objective, to_device
from fedmce.objectives.shared import Said, Shapes, shared
from fedmce.objectives.site_dropout import drawn_part, without

TEACHER = "teacher/"


class FlismObjective(Even):
    """Three forward passes, one of them without gradient.

    Args:
        config: weights.
        facts: the equal-weight model among the shared arrays; what the site holds.
        generator: draws what the second view lacks, and seeds its noise.
    """

    def __init__(self, config: FlismConfig, facts: SiteFacts, generator: np.random.Generator) -> None:
        self._config, self._facts = config, facts
        self._dropped = drawn_part(facts.held, generator) if config.contrast_weight > 0 else frozenset[str]()
        self._seed = int(generator.integers(2**63))
        self._noise: torch.Generator | None = None
        self._teacher: MultimodalNet | None = None

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        config = self._config
        rows = np.arange(batch.rows)
        logits_bc, state_bx = _predict(net, batch, rows, available)
        task = F.cross_entropy(logits_bc, batch.targets)
        total, parts = task, {"task": task.detach()}
        if self._dropped and (contrast := self._contrast(net, batch, available, state_bx)) is not None:
            total, parts = total + config.contrast_weight * contrast, parts | {"contrast": contrast.detach()}
        if config.distil_weight > 0 and self._facts.round > 1:
            with torch.no_grad():
                taught_bc, _ = _predict(self._taught_by(batch), batch, rows, available)
            distil = F.kl_div(
                logits_bc.log_softmax(dim=1), taught_bc.log_softmax(dim=1), reduction="batchmean", log_target=True
            )
            total, parts = total + config.distil_weight * distil, parts | {"distil": distil.detach()}
        return Loss(total, parts)

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """H_k, the mean entropy of the predictions of the site's training rows; shape ()."""
        sums = []
        for batch, available in batches:
            share = _predict(net, batch, np.arange(batch.rows), available)[0].log_softmax(dim=1)
            sums.append(-(share.exp() * share).sum().double())
        mean = float(torch.stack(sums).sum()) / max(self._facts.rows, 1) if sums else 0.0
        floor = self._config.entropy_floor * math.log(len(net.spec.classes))
        return {"entropy": np.array(max(mean, floor), dtype=np.float32)}

    def _contrast(
        self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_], state_bx: Tensor
    ) -> Tensor | None:
        """Contrast of the rows that both views show; None if there are none."""
        view, left = without(batch, available, net.spec.names, self._dropped)
        rows = np.flatnonzero(left.any(axis=1))
        if not len(rows):
            return None
        _, second_rx = _predict(net, self._noisy(view), rows, left[rows])
        row_t = to_device(rows, batch.targets.device)
        both = torch.cat([state_bx[row_t], second_rx])
        classes = batch.targets[row_t].repeat(2)
        return class_contrast(both, classes, both, classes, self._config.temperature, same=True)

    def _noisy(self, batch: Batch) -> Batch:
        """Samples with Gaussian noise."""
        if self._config.noise == 0:
            return batch
        if self._noise is None:
            self._noise = torch.Generator(batch.targets.device).manual_seed(self._seed)
        drawn = {
            m: torch.randn(v.shape, generator=self._noise, device=v.device, dtype=v.dtype)
            for m, v in batch.values.items()
        }
        return replace(batch, values={m: v + self._config.noise * drawn[m] for m, v in batch.values.items()})

    def _taught_by(self, batch: Batch) -> MultimodalNet:
        if self._teacher is None:
            state = {k.removeprefix(TEACHER): v for k, v in self._facts.shared.items()}
            self._teacher = replace(self._facts, received=state).received_net(batch.targets.device)
        return self._teacher


def _predict(
    net: MultimodalNet, batch: Batch, rows: npt.NDArray[np.int64], member: npt.NDArray[np.bool_]
) -> tuple[Tensor, Tensor]:
    """Fused logits and states of some rows from these members, in full precision."""
    device = batch.targets.device
    logits, state = net.fuse_states(
        net.encode(batch), to_device(rows, device), to_device(member, device), present=batch.values
    )
    return full_precision(logits), full_precision(state)


class EqualWeightModel:
    """The second model: every component the plain mean over the accepted sites that trained it."""

    def initial(self, config: FlismConfig, spec: NetworkSpec, model: State) -> Arrays:
        """The initial model."""
        return {TEACHER + key: value.copy() for key, value in model.items()}

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """Components of the modalities that the site holds, and those of no modality."""
        mine = (*held, None)
        return {k: v for k, v in arrays.items() if modality_of(component_of(k.removeprefix(TEACHER))) in mine}

    def told(self, config: FlismConfig, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """The entropy."""
        return {"entropy": ()}

    def merge(
        self,
        config: FlismConfig,
        spec: NetworkSpec,
        arrays: Arrays,
        said: Mapping[str, Said],
        holders: Mapping[str, int],
    ) -> Arrays:
        """Plain means; what nobody trained stays."""
        merged = dict(arrays)
        for component in sorted({c for one in said.values() for c in components(one.update)}):
            parts = {
                site: select(one.update, [component]) for site, one in said.items() if one.rows.get(component, 0) > 0
            }
            if parts:
                weights = WEIGHTINGS["uniform"](dict.fromkeys(parts, 1.0), {})
                merged |= {TEACHER + key: value for key, value in weighted_mean(parts, weights).items()}
        return merged


shared("flism")(EqualWeightModel())


@objective("flism")
def flism(config: FlismConfig, facts: SiteFacts, generator: np.random.Generator) -> FlismObjective:
    """Contrast of two views, distillation, entropy."""
    return FlismObjective(config, facts, generator)
