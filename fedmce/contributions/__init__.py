"""Contributions of modalities: value functions, tables of values and shares, indices and their estimators."""

from fedmce.contributions.class_mix import class_factors
from fedmce.contributions.estimators import Estimate, estimate_shapley
from fedmce.contributions.exact import INDICES, banzhaf, interactions, leave_one_out, shapley
from fedmce.contributions.plan import RowPlan, is_exact, measured_how, phi_bound, plan_rows, tells_patterns
from fedmce.contributions.pooled import (
    contributions,
    pattern_index,
    pooled_interactions,
    standardised_shares,
    standardised_sums,
)
from fedmce.contributions.share_table import ShareTable, size_counts
from fedmce.contributions.tally import Tally, pooled_tally, standardised
from fedmce.contributions.value_table import ValueTable, pooled
from fedmce.contributions.values import VALUES, prior_value, row_values, value_bounds

__all__ = [
    "INDICES",
    "VALUES",
    "Estimate",
    "RowPlan",
    "ShareTable",
    "Tally",
    "ValueTable",
    "banzhaf",
    "class_factors",
    "contributions",
    "estimate_shapley",
    "interactions",
    "is_exact",
    "leave_one_out",
    "measured_how",
    "pattern_index",
    "phi_bound",
    "plan_rows",
    "pooled",
    "pooled_interactions",
    "pooled_tally",
    "prior_value",
    "row_values",
    "shapley",
    "size_counts",
    "standardised",
    "standardised_shares",
    "standardised_sums",
    "tells_patterns",
    "value_bounds",
]
