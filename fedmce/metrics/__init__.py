"""Scores over subsets and sites, as sums that add up."""

from fedmce.metrics.scores import Scores, balanced_accuracy, primary, summary
from fedmce.metrics.sums import Cells, add_cells, concordance, ratio, score_sums

__all__ = [
    "Cells",
    "Scores",
    "add_cells",
    "balanced_accuracy",
    "concordance",
    "primary",
    "ratio",
    "score_sums",
    "summary",
]
