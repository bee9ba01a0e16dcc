"""Sections of mechanisms that go row by row, at every site alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from fedmce.config.masked import DRAW, RATES, ROUNDING, Draw, MaskedSection, Rounding, Weight
from fedmce.config.section import Rate


class McarConfig(MaskedSection):
    """One missing rate for all modalities and sites, completely at random."""

    name: Literal["mcar"] = "mcar"
    rate: Rate = Field(0.3, description="missing share of every modality's rows")
    draw: Draw = Field("exact", description=DRAW)
    rounding: Rounding = Field("nearest", description=ROUNDING)


class RatesSection(MaskedSection):
    """One rate per modality, by name or in data set order."""

    rates: dict[str, Rate] = Field(description="missing share of each modality's rows, e.g. {audio: 0.8, image: 0.2}")
    in_order: tuple[Rate, ...] | None = Field(
        None, description="the rates in data set order instead, e.g. [0.2, 0.5, 0.8]; rates is then empty"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_statement(cls, given: Any) -> Any:
        # The default rates of a data set would else stand beside the ones that are used, also in the record.
        if isinstance(given, dict) and given.get("in_order") is not None:
            return given | {"rates": {}}
        return given

    def named(self, modalities: Sequence[str]) -> dict[str, float]:
        """Rate of every modality; 0 where none is given."""
        if self.in_order is not None:
            return dict(zip(modalities, self.in_order, strict=True))
        return {name: self.rates.get(name, 0.0) for name in modalities}


class ImbalancedConfig(RatesSection):
    """One missing rate per modality, the same at every site."""

    name: Literal["imbalanced"] = "imbalanced"
    draw: Draw = Field("exact", description=DRAW)
    rounding: Rounding = Field("nearest", description=ROUNDING)
    permuted: bool = Field(
        False, description="the seed decides which modality has which rate: all permutations in turn, seed by seed"
    )


class PatternProductConfig(RatesSection):
    """Every pattern gets its share under independence as a count (PASSION)."""

    name: Literal["pattern_product"] = "pattern_product"
    on_empty: Literal["restore", "redraw", "drop"] = Field("redraw", description="of rows that no pattern got")
    least: int = Field(1, ge=0, description="rows that every possible non-empty pattern gets at least, while they last")
    rounding: Rounding = Field("floor", description=ROUNDING)


class PatternTableConfig(MaskedSection):
    """Named patterns with their shares (nuScenes)."""

    name: Literal["pattern_table"] = "pattern_table"
    patterns: dict[str, Weight] = Field(
        description="weight or count of each pattern, e.g. {image: 30, image+audio: 70}; scaled to the rows"
    )
    scope: Literal["site", "all"] = Field(
        "site", description="the shares hold at every site, or over the rows of all sites together"
    )
    rounding: Rounding = Field("largest_remainder", description=ROUNDING)


class PatternMixtureConfig(MaskedSection):
    """A row is complete with a probability, else of any other pattern alike (MFedNI)."""

    name: Literal["pattern_mixture"] = "pattern_mixture"
    complete: Rate = Field(0.5, description="probability of a complete row")


class RowShareConfig(MaskedSection):
    """A share of all rows, wherever they lie, loses exactly one modality (missing-aware prompts)."""

    name: Literal["row_share"] = "row_share"
    share: Rate = Field(0.7, description="of the rows of all sites together")
    split: dict[str, Weight] = Field(
        default_factory=dict, description="how the loss is split between modalities; default alike"
    )
    rounding: Rounding = Field("floor", description=ROUNDING)


class NestedConfig(MaskedSection):
    """Some rows of each class hold one modality; a larger number contains the smaller (SMIL, MCE digits)."""

    name: Literal["nested"] = "nested"
    modality: str = Field(description="the one that misses; all others are always there")
    per_class: int | None = Field(None, ge=0, description="training rows of each class that hold it, at every site")
    share: Rate | None = Field(0.1, description="share of each class' rows that hold it, where per_class is null")
    by_site: dict[str, int] = Field(default_factory=dict, description="site -> per_class of its own")
    order: Literal["file", "drawn"] = Field("drawn", description="first rows of a class by sample id, or by lot")
    rounding: Rounding = Field("nearest", description=ROUNDING)

    @model_validator(mode="after")
    def _stated(self) -> NestedConfig:
        if self.per_class is None and self.share is None:
            raise ValueError("share: given null, as is per_class; needed one of them")
        return self


class BurstyConfig(MaskedSection):
    """A sensor that goes off and comes back: two-state Markov chain over the rows in order of their ids."""

    name: Literal["bursty"] = "bursty"
    rate: Rate = Field(0.3, description="share of the time that a modality is off")
    rates: dict[str, Rate] = Field(default_factory=dict, description=RATES)
    mean_length: float = Field(8.0, ge=1, description="rows that a modality stays off, on average")

    @model_validator(mode="after")
    def _possible(self) -> BurstyConfig:
        for key, rate in {"rate": self.rate, **{f"rates.{m}": r for m, r in self.rates.items()}}.items():
            if rate < 1 and rate > (1 - rate) * self.mean_length:
                raise ValueError(
                    f"{key}: given {rate:g} with mean_length={self.mean_length:g}; a modality that is on for a row at "
                    f"least is off for {rate / (1 - rate):g} on average. use a longer mean_length"
                )
        return self


Summary = Literal["mean", "spread"]
SUMMARY = "what a row's values are summed up to: their mean, or their standard deviation"
SLOPE = "log odds of missing per standard deviation of what decides; 0 = completely at random"


class MarConfig(MaskedSection):
    """Missing at random: what decides stays visible (a modality that is always there, or the site)."""

    name: Literal["mar"] = "mar"
    by: str | None = Field(
        None, description="modality whose values decide row by row; it is never hidden. null = the site decides"
    )
    summary: Summary = Field("mean", description=SUMMARY)
    rate: Rate = Field(0.3, description="expected missing share of every other modality")
    rates: dict[str, Rate] = Field(default_factory=dict, description=RATES)
    slope: float = Field(1.5, ge=-20, le=20, description=SLOPE)

    @model_validator(mode="after")
    def _by_stays(self) -> MarConfig:
        if self.by is not None and self.rates.get(self.by, 0.0) > 0:
            raise ValueError(f"rates.{self.by}: given {self.rates[self.by]:g}, but by={self.by} is never hidden")
        return self


class MnarConfig(MaskedSection):
    """Missing not at random: the label, or the very value that is hidden, decides."""

    name: Literal["mnar"] = "mnar"
    by: Literal["label", "value"] = Field("value", description="the row's class, or the modality's own values")
    summary: Summary = Field("mean", description=SUMMARY)
    rate: Rate = Field(0.3, description="expected missing share of every modality")
    rates: dict[str, Rate] = Field(default_factory=dict, description=RATES)
    slope: float = Field(1.5, ge=-20, le=20, description=SLOPE)
