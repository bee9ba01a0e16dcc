"""The group ``missingness``: one section per mechanism."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedmce.config.masked import MaskedSection
from fedmce.config.missingness_rows import (
    BurstyConfig,
    ImbalancedConfig,
    MarConfig,
    McarConfig,
    MnarConfig,
    NestedConfig,
    PatternMixtureConfig,
    PatternProductConfig,
    PatternTableConfig,
    RowShareConfig,
)
from fedmce.config.missingness_sites import (
    RareConfig,
    SiteBernoulliConfig,
    SiteFractionConfig,
    SiteTableConfig,
    SitewiseConfig,
    TwoLevelConfig,
)


class NaturalConfig(MaskedSection):
    """Hide nothing: only the gaps that the data came with."""

    name: Literal["natural"] = "natural"
    only_complete: bool = Field(False, description="refuse data that came with gaps: a bound without missingness")


class FileConfig(MaskedSection):
    """Masks as a file gives them: ``masks.npz`` of a former run, or a table."""

    name: Literal["file"] = "file"
    on_empty: Literal["restore", "redraw", "drop"] = Field(
        "drop", description="of rows that hold nothing by the file; drop keeps to the file"
    )
    path: str = Field(
        min_length=1,
        description="masks.npz of a run, or CSV with the columns site, sample_id and one of 0 and 1 per modality; "
        "must be there on every machine",
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="hash of the file's masks, as in the record of the run that drew them",
    )


MissingnessConfig = Annotated[
    NaturalConfig
    | McarConfig
    | ImbalancedConfig
    | PatternProductConfig
    | PatternTableConfig
    | PatternMixtureConfig
    | RowShareConfig
    | NestedConfig
    | BurstyConfig
    | MarConfig
    | MnarConfig
    | SitewiseConfig
    | RareConfig
    | SiteBernoulliConfig
    | SiteFractionConfig
    | SiteTableConfig
    | TwoLevelConfig
    | FileConfig,
    Field(discriminator="name"),
]

__all__ = [
    "BurstyConfig",
    "FileConfig",
    "ImbalancedConfig",
    "MarConfig",
    "MaskedSection",
    "McarConfig",
    "MissingnessConfig",
    "MnarConfig",
    "NaturalConfig",
    "NestedConfig",
    "PatternMixtureConfig",
    "PatternProductConfig",
    "PatternTableConfig",
    "RareConfig",
    "RowShareConfig",
    "SiteBernoulliConfig",
    "SiteFractionConfig",
    "SiteTableConfig",
    "SitewiseConfig",
    "TwoLevelConfig",
]
