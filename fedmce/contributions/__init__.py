"""Contributions of modalities: value tables and exact Shapley values."""

from fedmce.contributions.exact import interactions, shapley
from fedmce.contributions.pooled import contributions, pattern_shapley, pooled_interactions, standardised_sums
from fedmce.contributions.value_table import ValueTable, pooled

__all__ = [
    "ValueTable",
    "contributions",
    "interactions",
    "pattern_shapley",
    "pooled",
    "pooled_interactions",
    "shapley",
    "standardised_sums",
]
