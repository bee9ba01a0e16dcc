"""Sections of mechanisms in which sites differ."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.masked import CHOOSE, DRAW, RATES, ROUNDING, Choose, Draw, MaskedSection, Rounding, Who
from fedmce.config.section import Rate

ModalitySet = Annotated[tuple[int | str, ...], Field(min_length=1)]
"""Modalities by name, or by number in data set order."""


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
    draw: Draw = Field("exact", description=DRAW)
    rounding: Rounding = Field("nearest", description=ROUNDING)

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
    choose: Choose = Field("seed", description=CHOOSE)
    draw: Draw = Field("exact", description=DRAW)
    rounding: Rounding = Field("nearest", description=ROUNDING)


class SiteBernoulliConfig(MaskedSection):
    """A site lacks each modality altogether with a probability (FedMultimodal)."""

    name: Literal["site_bernoulli"] = "site_bernoulli"
    rate: Rate = Field(0.5, description="probability that a site lacks a modality")
    rates: dict[str, Rate] = Field(default_factory=dict, description=RATES)
    seeding: Literal["named", "fedmultimodal"] = Field(
        "named",
        description="streams of the run's seed, or the fixed seeds of FedMultimodal by the site's place in the data set",
    )


class SiteFractionConfig(MaskedSection):
    """A share of the sites loses several modalities altogether (FLISM)."""

    name: Literal["site_fraction"] = "site_fraction"
    share: Rate = Field(0.6, description="of the training sites that lose something; drawn by seed")
    least: int | None = Field(
        None, ge=0, description="modalities that such a site loses at least; null = half, rounded down"
    )
    most: int | None = Field(None, ge=0, description="and at most, all numbers between alike; null = all but one")
    rounding: Rounding = Field("floor", description=ROUNDING)

    @model_validator(mode="after")
    def _ascend(self) -> SiteFractionConfig:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least: given {self.least} with most={self.most}; needed at most {self.most}")
        return self


class SiteTableConfig(MaskedSection):
    """The modalities that each site holds, as given; on top a block of rows may miss some of them (Local-Missing-FL)."""

    name: Literal["site_table"] = "site_table"
    sets: dict[str, ModalitySet] = Field(
        default_factory=dict, description="site -> what it holds, by name or number from 0; wins over in_order"
    )
    in_order: tuple[ModalitySet, ...] = Field(
        (), description="what the training sites hold, one after the other; as many as there are, or none"
    )
    choose: Choose = Field("first", description="in_order is dealt in data set order (first), or by seed")
    block_rows: Rate = Field(0.0, description="ps: share of each site's rows, the first by sample id, that miss more")
    block_modalities: Rate = Field(0.0, description="pm: share of the site's modalities that these rows miss, by seed")
    rounding: Rounding = Field("floor", description=f"of both shares; {ROUNDING}")


class TwoLevelConfig(MaskedSection):
    """At a share of the sites, a share of the rows loses one modality (MMiC)."""

    name: Literal["two_level"] = "two_level"
    sites: Who = Field(0.5, description="training sites concerned: how many, which share, or their names")
    share: Rate = Field(0.5, description="of their rows that lose one modality, any alike")
    rounding: Rounding = Field("floor", description=f"of both shares; {ROUNDING}")
