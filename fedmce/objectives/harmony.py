"""``harmony``: modality-wise training first, then fusion at sites that hold several modalities.

Ouyang et al., "Harmony: Heterogeneous Multi-Modal Federated Learning through Disentangled Model Training",
MobiSys 2023. Stage 1: each modality of a site trains as a network of its own, encoder and head. Stage 2: encoders
(with a smaller step) and fusion train together; encoders stay at the site, which tells how far each moved from
stage 1. The server groups sites by that (:mod:`fedmce.aggregation.clusters`) and averages the fusion in each group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import HarmonyConfig
from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, component_of, state_of
from fedmce.objectives.objective import (
    Arrays,
    Emphasis,
    Even,
    Loss,
    Objective,
    SiteFacts,
    full_precision,
    objective,
    to_device,
)
from fedmce.objectives.shared import Said, Shapes, shared
from fedmce.objectives.task import fused_task_loss
from fedmce.objectives.unimodal import unimodal_loss

DISTANCE = "distance"  # what a site tells; the server keeps it as distance/<site>
NOT_HELD = -1.0


class ModalityWise(Even):
    """Stage 1: the sum of the unimodal losses, so that no modality's step depends on which others are there."""

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        unimodal_bmc = net.unimodal(net.encode(batch), batch.values)
        assert unimodal_bmc is not None
        logits_bmc = full_precision(unimodal_bmc)
        present = to_device(available, batch.targets.device)
        count = logits_bmc.new_full((logits_bmc.shape[1],), float(available.any(axis=0).sum()))
        loss = unimodal_loss(logits_bmc, batch.targets, present, count)
        return Loss(loss, {"unimodal": loss.detach()})


class FusionAtSite:
    """Stage 2: the task loss; encoders and heads go a smaller step.

    Args:
        encoder_step: multiple of the step size of encoders and heads.
        facts: ``memory`` keeps the encoders as stage 1 left them.
    """

    def __init__(self, encoder_step: float, facts: SiteFacts) -> None:
        self._step, self._facts = encoder_step, facts
        encoders = {k: v for k, v in facts.received.items() if component_of(k).startswith("encoder.")}
        for key, value in encoders.items():
            facts.memory.setdefault(key, value)

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        return fused_task_loss(net, batch, available)

    def emphasis(self) -> Emphasis:
        """The smaller step."""
        return Emphasis(step=dict.fromkeys(self._facts.held, self._step))

    def after_backward(self, net: MultimodalNet) -> None:
        """Gradients stay."""

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Cosine distance of each encoder to stage 1, ``(modalities,)``; -1 for what the site does not hold."""
        trained = state_of(net)
        found = np.full(len(self._facts.modalities), NOT_HELD, dtype=np.float32)
        for column, modality in enumerate(self._facts.modalities):
            if modality in self._facts.held:
                keys = [key for key in trained if component_of(key) == f"encoder.{modality}"]
                found[column] = cosine_distance([trained[k] for k in keys], [self._facts.memory[k] for k in keys])
        return {DISTANCE: found}


def cosine_distance(one: list[npt.NDArray[np.float32]], other: list[npt.NDArray[np.float32]]) -> float:
    """1 - cos of two lists of arrays, each flattened to one vector; 0 where a vector is 0. In float64."""
    a, b = (np.concatenate([part.ravel() for part in parts]).astype(np.float64) for parts in (one, other))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, 1.0 - float(a @ b) / lengths) if lengths else 0.0


class Distances:
    """How far the encoders of each site have moved since stage 1, as last heard."""

    def initial(self, config: HarmonyConfig, spec: NetworkSpec, model: State) -> Arrays:
        """Nothing is known."""
        return {}

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """Sites learn nothing of each other."""
        return {}

    def told(self, config: HarmonyConfig, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """One number per modality from sites that keep their encoders, which is what makes stage 2."""
        returned = {component_of(key).partition(".")[0] for key in granted}
        return {} if "encoder" in returned else {DISTANCE: (len(spec.names),)}

    def merge(
        self,
        config: HarmonyConfig,
        spec: NetworkSpec,
        arrays: Arrays,
        said: Mapping[str, Said],
        holders: Mapping[str, int],
    ) -> Arrays:
        """The raw distances, never scaled in place: a site that skips a round would be scaled twice."""
        return arrays | {f"{DISTANCE}/{s}": r.arrays[DISTANCE] for s, r in said.items() if DISTANCE in r.arrays}


@objective("harmony")
def harmony(config: HarmonyConfig, facts: SiteFacts, generator: np.random.Generator) -> Objective:
    """The objective of the stage that the round belongs to."""
    first = facts.round <= config.first_stage(facts.rounds)
    return ModalityWise() if first else FusionAtSite(config.encoder_step, facts)


shared("harmony")(Distances())
