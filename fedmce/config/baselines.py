"""Sections of baselines that change what a site minimises, drops or tells (docs/baselines.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fedmce.config.section import ObjectiveSection

if TYPE_CHECKING:
    from fedmce.config.schema import RunConfig


class ProxConfig(ObjectiveSection):
    """FedProx: the task loss and a pull to the received model."""

    name: Literal["prox"] = "prox"
    mu: float = Field(0.01, ge=0, description="weight of half the squared distance to the received parameters")


class MoonConfig(ObjectiveSection):
    """MOON: states shall resemble those of the received model rather than those of the site's previous one."""

    name: Literal["moon"] = "moon"
    mu: float = Field(0.1, ge=0, description="weight of the contrast (the paper: 0.1 to 10)")
    temperature: float = Field(0.5, gt=0, description="softness of the contrast")


class SiteDropoutConfig(ObjectiveSection):
    """The task loss without one random part of the site's modalities, the same for a whole round."""

    name: Literal["site_dropout"] = "site_dropout"
    rate: float = Field(
        0.5, ge=0, le=1, description="share of rounds with a drop; at 1 a site of two modalities never sees both"
    )


class LateFusionConfig(ObjectiveSection):
    """Unimodal losses alone: each modality learns as if it were the only one."""

    name: Literal["late_fusion"] = "late_fusion"

    @property
    def uses_heads(self) -> bool:
        """Heads are all that predicts."""
        return True


class OgmGeConfig(ObjectiveSection):
    """OGM-GE: the task loss, with the gradients of dominant encoders scaled down and noise on them."""

    name: Literal["ogm_ge"] = "ogm_ge"
    alpha: float = Field(0.1, ge=0, description="how strongly a dominant modality is held back")
    noise: float = Field(1.0, ge=0, description="noise on gradients, in standard deviations of the gradient (GE)")

    @property
    def uses_heads(self) -> bool:
        """Heads tell which modality dominates."""
        return True


class FlismConfig(ObjectiveSection):
    """FLISM: the task loss, contrast with a view that lacks modalities, distillation from the plain mean model."""

    name: Literal["flism"] = "flism"
    contrast_weight: float = Field(
        0.1, ge=0, description="weight of the supervised contrast of both views (the paper: 1)"
    )
    temperature: float = Field(0.1, gt=0, description="softness of the contrast")
    noise: float = Field(0.7, ge=0, description="standard deviation of noise on the second view's samples")
    distil_weight: float = Field(1.0, ge=0, description="weight of the distillation from the equal-weight model")
    entropy_floor: float = Field(
        0.05, gt=0, le=1, description="least entropy that a site reports, as share of log(classes)"
    )


class PrototypesConfig(ObjectiveSection):
    """MFCPL-like: tokens are drawn to prototypes per modality and class, which also stand in for what is absent."""

    name: Literal["prototypes"] = "prototypes"
    align_weight: float = Field(0.1, ge=0, description="weight of the squared distance to the own prototype")
    contrast_weight: float = Field(
        0.1, ge=0, description="weight of the contrast with the prototypes of all modalities"
    )
    temperature: float = Field(0.1, gt=0, description="softness of the contrast")
    fill_weight: float = Field(
        0.5, ge=0, description="weight of the loss with prototypes of the predicted class for absent tokens"
    )


def baseline_problems(config: RunConfig) -> Iterator[str]:
    """What does not go together, one message each."""
    objective, model = config.objective.name, config.model
    if objective == "late_fusion" and model.fusion != "late":
        yield f"model.fusion={model.fusion}: objective=late_fusion trains heads alone; needed fusion=late"
    if objective == "ogm_ge" and not model.reads_heads:
        yield (
            f"model.fusion={model.fusion}: objective=ogm_ge scores modalities by their heads, which this fusion does "
            "not train; needed additive, late or residual"
        )
    if objective == "ogm_ge" and config.training.optimiser != "sgd":
        yield (
            f"training.optimiser={config.training.optimiser}: objective=ogm_ge scales gradients, which Adam divides out "
            "again; needed optimiser=sgd"
        )
    if config.aggregation.weighting == "inverse_entropy" and objective != "flism":
        yield (f"aggregation.weighting=inverse_entropy: objective={objective} tells no entropy; needed objective=flism")
    if objective == "prototypes" and "encoder" in config.aggregation.private:
        yield "objective=prototypes compares tokens of all sites; needed aggregation.private without encoder"
