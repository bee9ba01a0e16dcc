"""Sections of ``aggregation``: what the server does about sites that send false updates or false claims."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedmce.config.section import Section


class RobustConfig(Section):
    """Rule per component over the sites that hold it (docs/robustness.md has what each bears)."""

    rule: Literal["mean", "clip", "median", "trimmed", "clip_median", "clip_trimmed"] = Field(
        "mean",
        description="mean bears nobody; clip bounds the size of a change; median and trimmed need three holders, with "
        "fewer they clip",
    )
    trim: float = Field(
        0.2, gt=0, lt=0.5, description="of trimmed: share of the holders dropped at each end, at least one"
    )
    clip: float = Field(2.0, gt=0, le=100, description="of clip: largest change, in median norms of accepted changes")
    first_norm: float = Field(
        10.0, gt=0, description="of clip: largest norm of a change while too few were seen for a median"
    )
    strict: bool = Field(False, description="refuse a run in which a component has too few holders for the rule")


class ClaimsConfig(Section):
    """What a claimed contribution can buy."""

    bounded: bool = Field(
        False, description="clip claims against the other holders and cap every site's share of a component"
    )
    cap_self: float = Field(
        1.25, ge=1, description="largest claim over the median of the other holders, sources received and heldout"
    )
    cap_checked: float = Field(2.0, ge=1, description="the same of source server, where no site speaks for itself")
    floor: float = Field(0.1, gt=0, le=1, description="smallest claim over the same median")
    share_slack: float = Field(0.15, ge=0, le=1, description="share that a site may have beyond its part of the rows")
    share_most: float = Field(
        0.65,
        gt=0,
        le=1,
        description="largest share of a site where others hold the component; never below an equal part",
    )
    max_rows: int | None = Field(
        None, ge=1, description="rows that a site counts for at most, whatever its profile says; null = what it says"
    )
