"""Rules over the holders of one component: weights and means, as pure functions."""

from fedmce.aggregation.mean import weighted_mean
from fedmce.aggregation.quality import QualityState, compared_quality, quality
from fedmce.aggregation.server_optimiser import is_parameter, server_step
from fedmce.aggregation.weighting import WEIGHTINGS, saturated, weighting

__all__ = [
    "WEIGHTINGS",
    "QualityState",
    "compared_quality",
    "is_parameter",
    "quality",
    "saturated",
    "server_step",
    "weighted_mean",
    "weighting",
]
