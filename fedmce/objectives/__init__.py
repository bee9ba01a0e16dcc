"""Local objectives."""

from fedmce.objectives import mce, modality_dropout, task  # noqa: F401 - importing registers them
from fedmce.objectives.objective import OBJECTIVES, Emphasis, Loss, Objective, SiteFacts
from fedmce.objectives.shared import SHARED

__all__ = ["OBJECTIVES", "SHARED", "Emphasis", "Loss", "Objective", "SiteFacts"]
