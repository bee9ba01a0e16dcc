"""Scores over subsets and sites, as sums that add up."""

from fedmce.metrics.scores import Scores, balanced_accuracy, completed_summary, primary, summary
from fedmce.metrics.sums import COMPLETED, Cells, add_cells, completed, concordance, ratio, score_sums, split_completed

__all__ = [
    "COMPLETED",
    "Cells",
    "Scores",
    "add_cells",
    "balanced_accuracy",
    "completed",
    "completed_summary",
    "concordance",
    "primary",
    "ratio",
    "score_sums",
    "split_completed",
    "summary",
]
