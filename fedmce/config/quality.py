"""Sections of the group ``quality``: what is wrong with values that are there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.section import Rate, Section


class CleanConfig(Section):
    """Values as they were measured."""

    name: Literal["clean"] = "clean"


class DegradedConfig(Section):
    """Sensors that measure, but wrongly, at chosen sites."""

    name: Literal["degraded"] = "degraded"
    modality: str | None = Field(None, description="whose sensor is degraded; null = the first of the data set")
    sites: Rate | tuple[str, ...] = Field(
        0.35,
        description="share of the sites that hold it in these splits (drawn by seed, rounded, above 0 at least one), or "
        "their names",
    )
    kind: Literal["misaligned", "noise", "gain", "swap"] = Field(
        "misaligned",
        description="misaligned: values belong to other rows of the site; noise: added; gain: a factor that drifts over "
        "the rows, in an order drawn by seed; swap: channels, or halves of a vector, change places",
    )
    level: float = Field(
        1.0,
        gt=0,
        le=10,
        description="misaligned, swap: share of rows touched (at most 1); noise: standard deviations of the modality; "
        "gain: log of the factor that is reached in the last row",
    )
    splits: tuple[Literal["train", "validation", "test"], ...] = Field(
        ("train",), min_length=1, description="rows that are touched; each split by itself"
    )

    @model_validator(mode="after")
    def _fits(self) -> DegradedConfig:
        if self.kind in ("misaligned", "swap") and self.level > 1:
            raise ValueError(f"level: given {self.level:g} with kind={self.kind}, a share of rows; needed at most 1")
        if len(set(self.splits)) != len(self.splits):
            raise ValueError(f"splits: given {list(self.splits)}; each split once")
        return self


QualityConfig = Annotated[CleanConfig | DegradedConfig, Field(discriminator="name")]
