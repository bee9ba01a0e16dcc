"""Local objectives."""

from fedmce.objectives import (  # noqa: F401 - importing registers them
    fedmsplit,
    flism,
    harmony,
    late_fusion,
    mce,
    modality_dropout,
    moon,
    ogm_ge,
    passion,
    prototype_bank,
    prototypes,
    prox,
    python,
    redcore,
    scaffold,
    shaspec,
    site_dropout,
    task,
)
from fedmce.objectives.objective import OBJECTIVES, Emphasis, Loss, Objective, SiteFacts
from fedmce.objectives.shared import SHARED

__all__ = ["OBJECTIVES", "SHARED", "Emphasis", "Loss", "Objective", "SiteFacts"]
