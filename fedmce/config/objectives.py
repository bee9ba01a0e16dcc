"""Sections of the group ``objective``: what a site minimises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.baselines import (
    FlismConfig,
    LateFusionConfig,
    MoonConfig,
    OgmGeConfig,
    PrototypesConfig,
    ProxConfig,
    SiteDropoutConfig,
)
from fedmce.config.baselines_central import PassionConfig, PythonConfig, RedcoreConfig, ShaspecConfig
from fedmce.config.baselines_server import FedMSplitConfig, HarmonyConfig, ScaffoldConfig
from fedmce.config.section import ObjectiveSection, Section


class TaskObjectiveConfig(ObjectiveSection):
    """Loss of the fused prediction from everything a row holds."""

    name: Literal["task"] = "task"


class ModalityDropoutConfig(ObjectiveSection):
    """The task loss on a random non-empty part of what each row holds."""

    name: Literal["modality_dropout"] = "modality_dropout"
    rate: float = Field(0.3, ge=0, lt=1, description="probability to hide a present modality, per row and step")


class PublishedConfig(Section):
    """What the public MCE code does otherwise (method.md 2.6), each behind a switch; all off = repaired.

    The rest of it has names of its own: ``rarity=raw``, ``capability=published``, ``normalise=false``,
    ``weight_cap=null``, ``detach_target=false``, ``missingness.bind=position``.
    """

    leak: bool = Field(
        False, description="subsets, unimodal heads and completion read tokens that were mixed with the hidden ones"
    )
    lost_terms: bool = Field(False, description="only the last subset of a row counts in its completion loss")
    zeros_as_data: bool = Field(False, description="the fused path encodes zeros for what a row lacks")
    diluted: bool = Field(False, description="rows without a modality enter its unimodal mean with logits 0")


class MceConfig(ObjectiveSection):
    """Task + LCE + RCE (method.md 2)."""

    name: Literal["mce"] = "mce"
    # LCE: learning capability enhancement
    unimodal_weight: float = Field(1.0, ge=0, description="a_uni: weight of the unimodal losses (LCE)")
    rarity: Literal["global", "local", "raw", "off"] = Field(
        "global",
        description="A_m, rarity: rows over rows that hold m at all sites, here (local, raw = local as published)",
    )
    capability: Literal["gap", "shapley", "adaptive", "published", "off"] = Field(
        "gap", description="B_m, capability: gap of the unimodal head, shortfall of the Shapley value, or adaptive"
    )
    capability_floor: float = Field(0.5, ge=0, description="b_0: above 0 no modality is switched off")
    smoothing: float = Field(0.9, ge=0, lt=1, description="exponential mean of B_m over batches")
    adaptive_rate: float = Field(1.0, gt=0, description="of capability=adaptive: pull of a gap above the mean gap")
    normalise: bool = Field(True, description="bring the weights w_m = A_m B_m to mean 1 over the site's modalities")
    weight_cap: float | None = Field(4.0, ge=1, description="w_max: largest weight of a modality; null = none")
    value: Literal["accuracy", "probability", "soft_dice", "negative_squared_error"] = Field(
        "accuracy", description="v_i(S): what the prediction of a row from a subset is worth to LCE"
    )
    reference: Literal["running", "frozen"] = Field(
        "running", description="u_im, the unimodal reference: the model's own heads, or those of warm-up rounds"
    )
    warmup_rounds: int = Field(
        5, ge=1, description="of reference=frozen: first rounds, that train encoders and heads only"
    )
    incentive: Literal["loss", "step", "rows"] = Field(
        "loss", description="where w_m acts: unimodal losses, step size of encoder and head, or extra passes over rows"
    )
    incentive_cap: float = Field(3.0, ge=1, description="of incentive=step and rows: largest multiple")
    # RCE: representation capability enhancement
    subset_weight: float = Field(1.0, ge=0, description="a_sub: weight of subset prediction (RCE)")
    subset_scale: Literal["mean", "sum"] = Field(
        "sum", description="subsets of a row count as their mean (method.md 2.3) or each like the full one"
    )
    subsets: Literal["auto", "all", "sampled"] = Field(
        "auto", description="subsets per row: all up to 6 modalities and sampled beyond (auto), or as named"
    )
    subset_budget: int = Field(8, ge=2, description="of sampled subsets: how many per row and step")
    distil_weight: float = Field(0.0, ge=0, description="a_kd: self-distillation from the full to the smaller subsets")
    distil_temperature: float = Field(2.0, gt=0, description="softness of what is distilled")
    completion_weight: float = Field(0.1, ge=0, description="a_comp: weight of completion of hidden tokens (RCE)")
    completion_target: Literal["token", "fused_token"] = Field(
        "token", description="completion predicts the hidden token, or the fused state of everything the row holds"
    )
    completion_distance: Literal["smooth_l1", "cosine", "mse"] = "smooth_l1"
    detach_target: bool = Field(True, description="no gradient into a completion target; without, tokens collapse")
    detach_source: bool = Field(False, description="no gradient from completion into the tokens that it reads")
    train_through: float = Field(
        0.0, ge=0, description="weight of the task loss on predictions that use completed tokens for what S lacks"
    )
    use_completion: Literal["off", "full", "mean"] = Field(
        "off",
        description="also score with completed tokens in place of absent ones, or averaged with the plain prediction",
    )
    published: PublishedConfig = PublishedConfig.model_validate({})

    @property
    def uses_heads(self) -> bool:
        """Each modality has a head of its own."""
        return True

    @property
    def completes(self) -> bool:
        """Completion heads are trained."""
        return self.completion_weight > 0 or self.train_through > 0

    @model_validator(mode="after")
    def _fits(self) -> MceConfig:
        if self.completion_target == "fused_token" and (self.train_through > 0 or self.use_completion != "off"):
            raise ValueError(
                "completion_target=fused_token predicts no token, so none can stand in for an absent one; "
                "train_through and use_completion need completion_target=token"
            )
        if self.use_completion != "off" and not self.completes:
            raise ValueError("use_completion needs completion heads: completion_weight or train_through above 0")
        if self.capability in ("shapley", "published") and self.subsets == "sampled":
            raise ValueError(f"capability={self.capability} needs the value of every subset; use gap, or subsets=all")
        return self


ObjectiveConfig = Annotated[
    TaskObjectiveConfig
    | ModalityDropoutConfig
    | MceConfig
    | ScaffoldConfig
    | HarmonyConfig
    | FedMSplitConfig
    | ShaspecConfig
    | RedcoreConfig
    | PassionConfig
    | PythonConfig
    | FlismConfig
    | LateFusionConfig
    | MoonConfig
    | OgmGeConfig
    | PrototypesConfig
    | ProxConfig
    | SiteDropoutConfig,
    Field(discriminator="name"),
]
