"""Sections of objectives known from centralised training, which sites minimise here, and of a user's own file.

Methods rebuilt from a paper and its code are "-like": what differs is said where the objective is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fedmce.config.section import ObjectiveSection

if TYPE_CHECKING:
    from fedmce.config.schema import RunConfig

IMPUTING = ("zero_input", "mean_input", "knn_input")  # model.absent: an input in place of every absent one


class ShaspecConfig(ObjectiveSection):
    """Task, alignment of shared features and a guess of the modality (ShaSpec-like); needs model.fusion=shaspec."""

    name: Literal["shaspec"] = "shaspec"
    alignment_weight: float = Field(0.1, ge=0, description="alpha: distance of shared features of one row")
    domain_weight: float = Field(0.02, ge=0, description="beta: which modality a specific feature comes from")


class RedcoreConfig(ObjectiveSection):
    """Completion regulated by how hard each modality is to guess (RedCore-like, without its variational part)."""

    name: Literal["redcore"] = "redcore"
    head_weight: float = Field(1.0, ge=0, description="weight of the unimodal losses, completed tokens included")
    completion_weight: float = Field(4.0, ge=0, description="lambda: weight of the regulated completion losses")
    newest: float = Field(0.7, gt=0, le=1, description="rho: share of the newest batch in the running error")
    step: float = Field(0.1, ge=0, description="eta: step of the regulator; 0 = all modalities weigh alike for ever")
    every: int = Field(2, ge=1, description="I: training steps between two steps of the regulator")
    growth: float = Field(
        1.5, ge=1, le=10, description="eta grows by this factor at training steps 0, growth_every, ..."
    )
    growth_every: int = Field(500, ge=1, description="training steps of the site, over all rounds")
    step_cap: float = Field(0.5, ge=0, description="eta grows no further than this")
    floor: float = Field(0.1, ge=0, description="smallest weight before the weights are brought to length 1")
    use_completion: Literal["off", "full", "mean"] = Field(
        "off", description="of model.absent=skip: also score with completed tokens in place of absent ones"
    )

    @property
    def completes(self) -> bool:
        """Completion heads are what it is about."""
        return True

    @property
    def uses_heads(self) -> bool:
        """Each modality has a head of its own."""
        return self.head_weight > 0


class PassionConfig(ObjectiveSection):
    """Single modalities learn from the full prediction, the lagging ones more (PASSION-like)."""

    name: Literal["passion"] = "passion"
    single_weight: float = Field(1.0, ge=0, description="weight of the task loss of single modalities")
    distil_weight: float = Field(0.5, ge=0, description="weight of the distance to the full prediction")
    prototype_weight: float = Field(0.1, ge=0, description="weight of the distance to its place among prototypes")
    temperature: float = Field(4.0, gt=0, description="softness of what is distilled")
    probability_floor: float = Field(0.005, gt=0, lt=0.5, description="smallest probability inside the distance")
    step: float = Field(0.01, ge=0, description="eta: step of the relative preference per local epoch")
    growth: float = Field(1.5, ge=1, le=10, description="eta grows by this factor at local epochs 0, growth_every, ...")
    growth_every: int = Field(100, ge=1, description="local epochs of the site, over all rounds")
    step_cap: float = Field(0.1, ge=0, description="eta grows no further than this")
    low: float = Field(0.1, gt=0, le=1, description="smallest weight before the weights are brought to their length")
    high: float = Field(4.0, ge=1, description="largest weight before the weights are brought to their length")


class PythonConfig(ObjectiveSection):
    """An objective from a user's file or module; what it must be is in docs/adding-a-baseline.md."""

    name: Literal["python"] = "python"
    call: str = Field(description="path/of/file.py:factory, from the working directory, or package.module:factory")
    options: dict[str, Any] = Field(default_factory=dict, description="given to the factory as they are")
    heads: bool = Field(False, description="the network has unimodal heads")
    completion: bool = Field(False, description="the network has completion heads")
    use_completion: Literal["off", "full", "mean"] = Field(
        "off", description="also score with completed tokens in place of absent ones; needs completion"
    )

    @property
    def uses_heads(self) -> bool:
        """As the file asks."""
        return self.heads

    @property
    def completes(self) -> bool:
        """As the file asks."""
        return self.completion


def central_problems(config: RunConfig) -> Iterator[str]:
    """What stands in for absent modalities, and these objectives, against the rest of a configuration."""
    absent, objective = config.model.absent, config.objective
    if config.aggregation.whole_model and absent not in IMPUTING:
        yield (
            "aggregation.whole_model=true needs model.absent=zero_input (or mean_input, knn_input): a site cannot train "
            "what it never encodes"
        )
    if absent in IMPUTING and objective.name != "task":
        yield f"model.absent={absent} is plain FedAvg; objective={objective.name} needs model.absent=skip"
    if absent == "completed" and not (objective.name in ("redcore", "python") and objective.completes):
        yield (
            f"model.absent=completed needs completion heads that the objective trains by itself; given objective="
            f"{objective.name}, needed redcore, or python with completion=true"
        )
    if objective.name == "shaspec" and config.model.fusion != "shaspec":
        yield f"objective=shaspec: given model.fusion={config.model.fusion}; needed model=shaspec"
    if absent == "knn_input" and config.missingness.away > 0:
        yield "missingness.away takes modalities from whole sites, neighbours included; needed 0 with knn_input"
    if absent == "knn_input" and config.contributions.source == "server":
        yield (
            "contributions.source=server measures on rows of no site, which have no neighbours; needed received or "
            "heldout with model.absent=knn_input"
        )
