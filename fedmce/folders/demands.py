"""What a federation asks of a site folder beyond its own ``site.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedmce.config.privacy import PrivacyConfig
from fedmce.folders.plan import Plan

HELD_OUT_LEAST = 10  # val rows on which a site measures contributions


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one modality's entries in the federation."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Demands:
    """What the checker compares a folder with.

    Attributes:
        plan: modalities, classes and metric of the federation; None = not known, so nothing is compared with it.
        kit_site: name of the site in the kit that the folder is used with; None = no kit.
        held_out: contributions are measured on val rows.
        scales: per modality, where the federation states one.
        floors: of the federation; the site's own ``release`` overrules them where it is stricter.
        most_entries: that one file may decode to.
    """

    plan: Plan | None = None
    kit_site: str | None = None
    held_out: bool = False
    scales: Mapping[str, Scale] = field(default_factory=dict)
    floors: PrivacyConfig = field(default_factory=lambda: PrivacyConfig.model_validate({}))
    most_entries: int = 1 << 26
