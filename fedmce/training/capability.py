"""What LCE starts a round from: measured on the model as received, in evaluation mode and full precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fedmce.config.schema import MceConfig
from fedmce.contributions.values import row_values
from fedmce.objectives import SiteFacts
from fedmce.objectives.pairs import Pairs
from fedmce.objectives.shortfall import Observed, lack
from fedmce.subsets import LISTED, members
from fedmce.training.evaluation import Predictions


def unimodal_values(predictions: Predictions, kind: str) -> npt.NDArray[np.float32] | None:
    """Value of each unimodal head on each row, ``(rows, modalities)``; None without heads.

    Where a row lacks a modality the entry means nothing. This is u_im of method.md 2.2.
    """
    if predictions.alone is None:
        return None
    rows, modalities, classes = predictions.alone.shape
    target = np.zeros(rows, np.int64)
    target[predictions.row] = predictions.target
    flat = torch.from_numpy(predictions.alone.reshape(-1, classes))
    value = row_values(kind, flat, torch.from_numpy(target.repeat(modalities)))
    found: npt.NDArray[np.float32] = value.reshape(rows, modalities).float().numpy()
    return found


def starting_lack(
    config: MceConfig,
    facts: SiteFacts,
    predictions: Predictions,
    available: npt.NDArray[np.bool_],
) -> dict[str, float]:
    """Mean shortfall of each modality that the site's rows hold (``config.capability``).

    Args:
        config: capability, value function, reference.
        facts: of the site; a frozen reference in it stands in for the heads of the received model.
        predictions: of the received model on the site's training rows.
        available: bool ``(rows, modalities)`` of these rows.

    Returns:
        Empty without heads, without rows, or where the predictions lack subsets that the capability needs (many
        modalities): B_m then starts from its default and follows the batches.
    """
    if config.capability in ("shapley", "published") and len(facts.modalities) > LISTED:
        return {}
    alone = facts.reference if facts.reference is not None else unimodal_values(predictions, config.value)
    if alone is None or not len(available):
        return {}
    modalities = len(facts.modalities)
    full = np.zeros(len(available), np.int64)
    is_full = predictions.subset == predictions.pattern
    full[predictions.row[is_full]] = np.flatnonzero(is_full)
    member = members(predictions.subset, modalities)
    value = row_values(config.value, torch.from_numpy(predictions.probability), torch.from_numpy(predictions.target))
    seen = Observed(
        value_p=value,
        row_p=torch.from_numpy(predictions.row),
        full_b=torch.from_numpy(full),
        alone_bm=torch.from_numpy(alone).double(),
        available_bm=torch.from_numpy(available),
    )
    pairs = Pairs(predictions.row, predictions.subset, predictions.pattern, member)
    found = lack(config, facts, seen, pairs, available, torch.from_numpy(member)).tolist()
    return {m: float(found[i]) for i, m in enumerate(facts.modalities) if facts.rows_by_modality[m] > 0}
