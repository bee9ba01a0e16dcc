"""Sections of objectives that need the server's help, and what must agree between groups for them to work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fedmce.config.section import ObjectiveSection

if TYPE_CHECKING:
    from fedmce.config.schema import RunConfig


class ScaffoldConfig(ObjectiveSection):
    """SCAFFOLD: the task loss, its gradients corrected by what the site and all holders drift to."""

    name: Literal["scaffold"] = "scaffold"


class HarmonyConfig(ObjectiveSection):
    """Harmony: unimodal losses first; then fusion at sites with several modalities, encoders stay there."""

    name: Literal["harmony"] = "harmony"
    stage1_share: float = Field(2 / 3, gt=0, lt=1, description="share of the rounds that train modality by modality")
    encoder_step: float = Field(0.1, ge=0, le=1, description="multiple of the step size for encoders in stage 2")

    @property
    def uses_heads(self) -> bool:
        """Each modality is a network of its own in stage 1."""
        return True

    def first_stage(self, rounds: int) -> int:
        """Rounds of stage 1; with more than one round, stage 2 has at least one too."""
        return max(1, min(round(self.stage1_share * rounds), rounds - 1))


class FedMSplitConfig(ObjectiveSection):
    """FedMSplit: the task loss and a pull of every component to its plain mean over sites."""

    name: Literal["fedmsplit"] = "fedmsplit"
    proximal_weight: float = Field(0.01, ge=0, description="lambda: weight of the squared distance to the plain mean")


def server_problems(config: RunConfig) -> Iterator[str]:
    """What does not go together, one message each."""
    told, objective = config.aggregation, config.objective.name
    if config.is_personal and told.whole_model:
        yield "aggregation.whole_model=true shares everything; needed private=[], rule=mean, finetune_epochs=0"
    if config.is_personal and config.scope == "pooled":
        yield "scope=pooled has one site; needed aggregation.private=[], rule=mean, finetune_epochs=0"
    if objective == "scaffold":
        yield from _scaffold(config)
    if (told.rule == "harmony") != (objective == "harmony"):
        yield f"aggregation.rule={told.rule} with objective={objective}: harmony is both or neither"
    if told.rule == "harmony" and config.model.fusion != "residual":
        yield (
            f"model.fusion={config.model.fusion}: aggregation.rule=harmony needs residual, so that sites without "
            "stage 2 answer with their unimodal heads"
        )
    if told.rule != "mean" and told.private:
        yield f"aggregation.rule={told.rule} gives each site a state of its own; needed private=[]"
    if told.rule != "mean" and told.robust.rule != "mean":
        yield (
            f"aggregation.robust.rule={told.robust.rule} with aggregation.rule={told.rule}: robust rules join changes of "
            "one common state; needed aggregation.rule=mean"
        )
    if "normalisation" in told.private and config.model.normalisation == "none":
        yield "aggregation.private=[normalisation] has nothing to keep; needed model.normalisation=batch"
    if config.model.normalisation == "batch" and config.model.absent != "skip":
        yield "model.normalisation=batch needs model.absent=skip: its statistics would be those of stand-ins"
    if config.model.normalisation == "batch" and told.finetune_epochs:
        yield "aggregation.finetune_epochs trains heads on frozen encoders; needed model.normalisation=none"


def _scaffold(config: RunConfig) -> Iterator[str]:
    training = config.training
    if training.optimiser != "sgd" or training.momentum > 0 or training.weight_decay > 0:
        yield (
            f"training.optimiser={training.optimiser}, momentum={training.momentum:g}, weight_decay="
            f"{training.weight_decay:g}: objective=scaffold reads gradients back from differences of parameters, "
            "which only plain steps allow; needed optimiser=sgd, momentum=0, weight_decay=0"
        )
    if config.is_personal:
        yield "objective=scaffold corrects towards common components; needed private=[], rule=mean, finetune_epochs=0"
