"""Rules over the holders of one component: weights, means and robust rules, as pure functions."""

from fedmce.aggregation.bearable import Bearable, bearable
from fedmce.aggregation.claims import bounded_claims, capped_shares, share_limits
from fedmce.aggregation.mean import weighted_mean
from fedmce.aggregation.norms import NormHistory, change_norms, norm_group
from fedmce.aggregation.quality import QualityState, compared_quality, quality
from fedmce.aggregation.robust import Combined, by_group, combine, limited_step, plan_for
from fedmce.aggregation.server_optimiser import is_parameter, server_step
from fedmce.aggregation.weighting import WEIGHTINGS, saturated, weighting

__all__ = [
    "WEIGHTINGS",
    "Bearable",
    "Combined",
    "NormHistory",
    "QualityState",
    "bearable",
    "bounded_claims",
    "by_group",
    "capped_shares",
    "change_norms",
    "combine",
    "compared_quality",
    "is_parameter",
    "limited_step",
    "norm_group",
    "plan_for",
    "quality",
    "saturated",
    "server_step",
    "share_limits",
    "weighted_mean",
    "weighting",
]
