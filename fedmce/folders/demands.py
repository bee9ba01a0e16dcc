"""What a federation asks of a site folder beyond its own ``site.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedmce.config.folders import FoldersConfig
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.schema import RunConfig
from fedmce.folders.plan import Plan

HELD_OUT_LEAST = 10  # rows on which a site measures contributions


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one modality's entries in the federation."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Demands:
    """What the checker compares a folder with.

    Attributes:
        plan: modalities, classes and metric of the federation, or the section of a configuration that has them; what it
            leaves empty, or None, is not known and not compared.
        kit_site: name of the site in the kit that the folder is used with; None = no kit.
        held_out: share of the train rows that contributions are measured on and training leaves out; None = none.
        scales: per modality, where the federation states one.
        floors: of the federation; the site's own ``release`` overrules them where it is stricter.
        most_entries: that one file may decode to.
    """

    plan: Plan | FoldersConfig | None = None
    kit_site: str | None = None
    held_out: float | None = None
    scales: Mapping[str, Scale] = field(default_factory=dict)
    floors: PrivacyConfig = field(default_factory=lambda: PrivacyConfig.model_validate({}))
    most_entries: int = 1 << 26

    @classmethod
    def of_run(cls, config: RunConfig, kit_site: str | None = None) -> Demands:
        """What a run asks of each of its sites; a run on another data set has no plan of folders."""
        asked = config.contributions
        return cls(
            plan=config.dataset if isinstance(config.dataset, FoldersConfig) else None,
            kit_site=kit_site,
            held_out=asked.heldout_share if asked.source == "heldout" else None,
            floors=config.privacy,
        )
