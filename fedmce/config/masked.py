"""What the sections of all missingness mechanisms share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.section import Rate, Section

Draw = Literal["exact", "independent"]
Choose = Literal["seed", "first"]
Rounding = Literal["nearest", "floor", "largest_remainder"]
Who = int | Annotated[float, Field(gt=0, lt=1)] | tuple[str, ...]
"""Sites: how many, which share of them, or their names."""
Weight = Annotated[float, Field(ge=0)]

DRAW = "exact count per site, or each row by itself (independent)"
RATES = "missing share of single modalities instead"
ROUNDING = (
    "of shares to counts: nearest (halves up), floor as in most public code, or largest_remainder: the counts of "
    "all parts add up (of two parts the same as nearest)"
)
CHOOSE = "who they are, unless named: drawn by seed, or the first in data set order"


class MaskedSection(Section):
    """What all mechanisms share."""

    bind: Literal["row", "position"] = Field(
        "row",
        description="a mask belongs to its row; position = to the place in the shuffled epoch, as in public code that "
        "thereby shows every row complete sooner or later (only to measure what that defect is worth)",
    )
    on_empty: Literal["restore", "redraw", "drop"] = Field(
        "restore",
        description="a row (where whole sites are drawn: a site) that would hold nothing gets one modality back by "
        "1 - rate, is drawn anew until it holds something, or is lost",
    )
    away: Rate = Field(
        0.0,
        description="in each round each modality of a site is away with this probability; a site keeps one at least",
    )

    @model_validator(mode="after")
    def _places_stay(self) -> MaskedSection:
        if self.bind == "position" and self.on_empty == "drop":
            raise ValueError(
                "on_empty: given drop with bind=position; places hide, no row is lost. use restore or redraw"
            )
        return self
