"""Sections of the group ``missingness``: one per mechanism."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.section import Rate, Section


class MaskedSection(Section):
    """What all mechanisms share."""

    bind: Literal["row", "position"] = Field(
        "row",
        description="a mask belongs to its row; position = to the place in the shuffled epoch, as in public code that "
        "thereby shows every row complete sooner or later (only to measure what that defect is worth)",
    )


class NaturalConfig(MaskedSection):
    """Hide nothing: only the gaps that the data came with."""

    name: Literal["natural"] = "natural"


class ImbalancedConfig(MaskedSection):
    """One missing rate per modality, the same at every site."""

    name: Literal["imbalanced"] = "imbalanced"
    rates: dict[str, Rate] = Field(description="missing share of each modality's rows, e.g. {audio: 0.8, image: 0.2}")
    draw: Literal["exact", "independent"] = Field("exact", description="exact count per site, or each row by itself")


class SitewiseConfig(MaskedSection):
    """One missing rate per site and modality; 1 = the site lacks the modality."""

    name: Literal["sitewise"] = "sitewise"
    rates: dict[str, Rate | tuple[Rate, Rate]] = Field(
        description="missing share per modality: one number, or [low, high] from which each site draws its own"
    )
    reversed_sites: int | tuple[str, ...] = Field(
        1,
        description="sites at which the modalities swap rates in reverse order: a count (first in data set order) or names",
    )
    holders: dict[str, int | tuple[str, ...]] = Field(
        default_factory=dict,
        description="modality held only by so many sites (first in data set order) or by the named ones; rate 1 elsewhere",
    )
    table: dict[str, dict[str, Rate]] = Field(
        default_factory=dict, description="site -> modality -> rate; wins over all of the above"
    )
    draw: Literal["exact", "independent"] = "exact"

    @model_validator(mode="after")
    def _ranges_ascend(self) -> SitewiseConfig:
        for modality, rate in self.rates.items():
            if isinstance(rate, tuple) and rate[0] > rate[1]:
                raise ValueError(f"rates.{modality}: given {list(rate)}; needed [low, high] with low at most high")
        return self


MissingnessConfig = Annotated[NaturalConfig | ImbalancedConfig | SitewiseConfig, Field(discriminator="name")]
