"""Sections of the group ``missingness``: one per mechanism."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fedmce.config.section import Rate, Section

Draw = Literal["exact", "independent"]
Who = int | Annotated[float, Field(gt=0, lt=1)] | tuple[str, ...]
"""Sites: how many, which share of them, or their names."""


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


class McarConfig(MaskedSection):
    """One missing rate for all modalities and sites, completely at random."""

    name: Literal["mcar"] = "mcar"
    rate: Rate = Field(0.3, description="missing share of every modality's rows")
    draw: Draw = Field("exact", description="exact count per site, or each row by itself")


class ImbalancedConfig(MaskedSection):
    """One missing rate per modality, the same at every site."""

    name: Literal["imbalanced"] = "imbalanced"
    rates: dict[str, Rate] = Field(description="missing share of each modality's rows, e.g. {audio: 0.8, image: 0.2}")
    in_order: tuple[Rate, ...] | None = Field(
        None, description="the rates in data set order instead, e.g. [0.2, 0.5, 0.8]; rates is then empty"
    )
    draw: Draw = Field("exact", description="exact count per site, or each row by itself (independent)")

    @model_validator(mode="before")
    @classmethod
    def _one_statement(cls, given: Any) -> Any:
        # The default rates of a data set would else stand beside the ones that are used, also in the record.
        if isinstance(given, dict) and given.get("in_order") is not None:
            return given | {"rates": {}}
        return given


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
    draw: Draw = "exact"

    @model_validator(mode="after")
    def _ranges_ascend(self) -> SitewiseConfig:
        for modality, rate in self.rates.items():
            if isinstance(rate, tuple) and rate[0] > rate[1]:
                raise ValueError(f"rates.{modality}: given {list(rate)}; needed [low, high] with low at most high")
        return self


class RareConfig(MaskedSection):
    """One modality that few sites hold; the others are missing at rates of their own."""

    name: Literal["rare"] = "rare"
    modality: str = Field(description="the rare one")
    holders: Who = Field(
        0.15, description="training sites that hold it: how many, which share (at least one), or their names"
    )
    others: Rate = Field(0.2, description="missing share of every other modality at every site")
    rates: dict[str, Rate] = Field(
        default_factory=dict, description="of single modalities instead; of the rare one: at its holders (else 0)"
    )
    choose: Literal["seed", "first"] = Field(
        "seed", description="who the holders are, unless named: drawn by seed, or the first in data set order"
    )
    draw: Draw = "exact"


MissingnessConfig = Annotated[
    NaturalConfig | McarConfig | ImbalancedConfig | SitewiseConfig | RareConfig, Field(discriminator="name")
]
