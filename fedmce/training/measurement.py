"""Contributions of modalities on some rows: what is predicted for them, and the tables that follow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import RowPlan, ShareTable, Tally, ValueTable, is_exact, plan_rows
from fedmce.models import MultimodalNet
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, predict_pairs


def measure(
    net: MultimodalNet,
    rows: DeviceRows,
    config: ContributionsConfig,
    rng: np.random.Generator,
    kept: npt.NDArray[np.bool_] | None = None,
) -> tuple[Predictions, Tally]:
    """Predict what the contributions need, and add it up.

    Args:
        net: the network; left in evaluation mode.
        rows: the rows.
        config: value, index, estimator, budget.
        rng: draws subsets where they are sampled; not used otherwise.
        kept: rows that count in the tally, bool ``(rows,)``; None = all.

    Returns:
        The predictions, every row's full set among them, in order of rows and, if exact, of all subset
        codes; and the tally.
    """
    plan = plan_rows(rows.observed.available, config, rng)
    predictions = predict_pairs(net, rows, plan.row, plan.subset)
    return predictions, tally(predictions, plan, config, len(net.spec.names), kept)


def tally(
    predictions: Predictions,
    plan: RowPlan,
    config: ContributionsConfig,
    modalities: int,
    kept: npt.NDArray[np.bool_] | None = None,
) -> Tally:
    """Tables of predicted pairs; of the ``kept`` rows alone where they are named."""
    value = predictions.pair_values(config.value)
    shares = plan.shares(value, kept)
    if not is_exact(config, modalities):
        return Tally(shares)
    table = ValueTable(modalities)
    here = slice(None) if kept is None else kept[predictions.row]
    table.add(predictions.pattern[here], predictions.subset[here], value[here])
    return Tally(shares, table)


def empty_tally(config: ContributionsConfig, modalities: int) -> Tally:
    """The tally of no rows."""
    return Tally(ShareTable(config.index), ValueTable(modalities) if is_exact(config, modalities) else None)
