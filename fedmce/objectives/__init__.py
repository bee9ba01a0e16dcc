"""Local objectives."""

from fedmce.objectives import mce, modality_dropout, task  # noqa: F401 - importing registers them
from fedmce.objectives.objective import OBJECTIVES, Emphasis, Loss, Objective, SiteFacts

__all__ = ["OBJECTIVES", "Emphasis", "Loss", "Objective", "SiteFacts"]
