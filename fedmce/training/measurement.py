"""Contributions of modalities on some rows: what is predicted for them, and the tables that follow."""

from __future__ import annotations

import numpy as np

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import RowPlan, ShareTable, Tally, ValueTable, is_exact, plan_rows
from fedmce.models import MultimodalNet
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, predict_pairs


def measure(
    net: MultimodalNet, rows: DeviceRows, config: ContributionsConfig, rng: np.random.Generator
) -> tuple[Predictions, Tally]:
    """Predict what the contributions need, and add it up.

    Args:
        net: the network; left in evaluation mode.
        rows: the rows.
        config: value, index, estimator, budget.
        rng: draws subsets where they are sampled; not used otherwise.

    Returns:
        The predictions, every row's full set among them, in order of rows and, if exact, of all subset
        codes; and the tally.
    """
    plan = plan_rows(rows.observed.available, config, rng)
    predictions = predict_pairs(net, rows, plan.row, plan.subset)
    return predictions, tally(predictions, plan, config, len(net.spec.names))


def tally(predictions: Predictions, plan: RowPlan, config: ContributionsConfig, modalities: int) -> Tally:
    """Tables of predicted pairs."""
    value = predictions.pair_values(config.value)
    if not is_exact(config, modalities):
        return Tally(plan.shares(value))
    table = ValueTable(modalities)
    table.add(predictions.pattern, predictions.subset, value)
    return Tally(plan.shares(value), table)


def empty_tally(config: ContributionsConfig, modalities: int) -> Tally:
    """The tally of no rows."""
    return Tally(ShareTable(config.index), ValueTable(modalities) if is_exact(config, modalities) else None)
