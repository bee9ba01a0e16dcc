"""Scores over subsets and sites, as sums that add up."""

from fedmce.metrics.calibration import brier_score, calibration_error, calibration_sums
from fedmce.metrics.confusion import class_sums, macro_f1
from fedmce.metrics.evenness import equity, gini, learning_imbalance, update_sizes
from fedmce.metrics.fairness import gain, site_means, spread, unimodal_gap
from fedmce.metrics.hidden import CompletionSums
from fedmce.metrics.robustness import Deployed, deployed, drops, pattern_shares, rate_curve, worst
from fedmce.metrics.scores import (
    Scores,
    as_available,
    balanced_accuracy,
    completed_summary,
    mean_score,
    overall,
    primary,
    summary,
)
from fedmce.metrics.sums import COMPLETED, Cells, add_cells, completed, concordance, ratio, score_sums, split_completed
from fedmce.metrics.tables import Tables, add_tables, pooled_table

__all__ = [
    "COMPLETED",
    "Cells",
    "CompletionSums",
    "Deployed",
    "Scores",
    "Tables",
    "add_cells",
    "add_tables",
    "as_available",
    "balanced_accuracy",
    "brier_score",
    "calibration_error",
    "calibration_sums",
    "class_sums",
    "completed",
    "completed_summary",
    "concordance",
    "deployed",
    "drops",
    "equity",
    "gain",
    "gini",
    "learning_imbalance",
    "macro_f1",
    "mean_score",
    "overall",
    "pattern_shares",
    "pooled_table",
    "primary",
    "rate_curve",
    "ratio",
    "score_sums",
    "site_means",
    "split_completed",
    "spread",
    "summary",
    "unimodal_gap",
    "update_sizes",
    "worst",
]
