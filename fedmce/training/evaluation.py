"""Predictions of subsets of what each row holds, in evaluation mode and full precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.contributions import ValueTable
from fedmce.contributions.values import row_values
from fedmce.errors import DataError
from fedmce.metrics import Cells, score_sums
from fedmce.models import MultimodalNet, logits_with_completion
from fedmce.objectives.pairs import all_pairs
from fedmce.subsets import LISTED, members, pattern_codes, scored_codes
from fedmce.training.device_rows import DeviceRows

CHUNK = 512  # rows whose tokens are held at a time
PAIR_CELLS = 1 << 18  # pairs times modalities of one fusion call: bounds its memory whatever the budget


@dataclass(frozen=True)
class Predictions:
    """Predictions of (row, subset) pairs of some rows.

    Attributes:
        row: int64 ``(pairs,)``, ascending.
        subset: code, int64 ``(pairs,)``.
        pattern: code of what the row holds, int64 ``(pairs,)``.
        probability: float64 ``(pairs, classes)``.
        target: class of the row, int64 ``(pairs,)``.
        alone: of the unimodal heads, float64 ``(rows, modalities, classes)``, any value where the row lacks
            the modality; None without heads.
    """

    row: npt.NDArray[np.int64]
    subset: npt.NDArray[np.int64]
    pattern: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    target: npt.NDArray[np.int64]
    alone: npt.NDArray[np.float64] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each pair's prediction is right."""
        right: npt.NDArray[np.bool_] = self.probability.argmax(axis=1) == self.target
        return right

    def cells(self) -> Cells:
        """Sums and counts of all metrics per subset."""
        return score_sums(self.subset, self.probability, self.target)

    def pair_values(self, kind: str = "accuracy") -> npt.NDArray[np.float64]:
        """v_i(S) of each pair (:func:`row_values`), float64 ``(pairs,)``."""
        value: npt.NDArray[np.float64] = row_values(
            kind, torch.from_numpy(self.probability), torch.from_numpy(self.target)
        ).numpy()
        return value

    def values(self, modalities: int, kind: str = "accuracy") -> ValueTable:
        """Value table of the pairs."""
        table = ValueTable(modalities)
        table.add(self.pattern, self.subset, self.pair_values(kind))
        return table


def subset_logits(
    net: MultimodalNet,
    token: Tensor,
    row_p: Tensor,
    member_pm: Tensor,
    unimodal: Tensor | None,
    use_completion: str = "off",
) -> Tensor:
    """Fused logits ``(pairs, classes)`` of (row, subset) pairs from cached tokens: the one place that asks for them.

    Args:
        net: in evaluation mode.
        token: ``(rows, modalities, width)``.
        row_p: row of each pair, int64.
        member_pm: subset of each pair, bool.
        unimodal: logits of the unimodal heads ``(rows, modalities, classes)``, or None.
        use_completion: ``off``, or ``full`` or ``mean``: completed tokens for what a subset lacks.
    """
    step = max(1, PAIR_CELLS // member_pm.shape[1])
    cuts = range(0, max(len(row_p), 1), step)
    parts = []
    for at in cuts:
        row, member = row_p[at : at + step], member_pm[at : at + step]
        plain = net.fuse(token, row, member, unimodal)
        parts.append(logits_with_completion(net, token, row, member, plain, use_completion))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@torch.no_grad()
def predict_pairs(
    net: MultimodalNet,
    rows: DeviceRows,
    row: npt.NDArray[np.int64],
    subset: npt.NDArray[np.int64],
    use_completion: str = "off",
) -> Predictions:
    """Predict the given pairs; encoders run once per row and modality.

    Args:
        net: the network; left in evaluation mode.
        rows: the rows.
        row: of each pair, ascending, int64 ``(pairs,)``.
        subset: code of each pair, non-empty and within what the row holds.
        use_completion: see :func:`subset_logits`.
    """
    net.eval()
    probability: list[npt.NDArray[np.float64]] = []
    alone: list[npt.NDArray[np.float64]] = []
    for start in range(0, rows.count, CHUNK):
        stop = min(start + CHUNK, rows.count)
        batch, _ = rows.batch(np.arange(start, stop))
        first, last = np.searchsorted(row, [start, stop])
        token = net.encode(batch)
        unimodal = net.unimodal(token)
        row_p = torch.from_numpy(row[first:last] - start).to(rows.device)
        member = members(subset[first:last], len(net.spec.names))
        if net.spec.absent == "knn_input":
            logits = _filled_logits(net, rows, row[first:last], member)
        else:
            member_pm = torch.from_numpy(member).to(rows.device)
            logits = subset_logits(net, token, row_p, member_pm, unimodal, use_completion)
        probability.append(logits.double().softmax(dim=1).cpu().numpy())
        if unimodal is not None:
            alone.append(unimodal.double().softmax(dim=2).cpu().numpy())
    pattern = pattern_codes(rows.observed.available)[row]
    found = np.concatenate(probability) if probability else np.zeros((0, len(net.spec.classes)))
    return Predictions(
        row, subset, pattern, found, rows.observed.targets[row], np.concatenate(alone) if alone else None
    )


def _filled_logits(
    net: MultimodalNet, rows: DeviceRows, row: npt.NDArray[np.int64], member_pm: npt.NDArray[np.bool_]
) -> Tensor:
    """Logits of pairs whose subsets are filled up from neighbours: each pair is a row of its own to the encoders."""
    if not rows.fills:
        raise DataError(
            "model.absent=knn_input: these rows come without training rows of their site to be filled from; needed "
            "rows of a run's own sites. use model.absent=mean_input for a model that predicts anywhere"
        )
    parts = [torch.zeros(0, len(net.spec.classes), device=rows.device)]
    for at in range(0, len(row), CHUNK):
        batch = rows.filled(row[at : at + CHUNK], member_pm[at : at + CHUNK])
        member = torch.from_numpy(member_pm[at : at + CHUNK]).to(rows.device)
        parts.append(net.fuse(net.encode(batch), torch.arange(batch.rows, device=rows.device), member))
    return torch.cat(parts)


def predict_subsets(net: MultimodalNet, rows: DeviceRows, use_completion: str = "off") -> Predictions:
    """Score every non-empty subset of what each row holds; of many modalities, those of the panel.

    The panel is :func:`fedmce.subsets.scored_codes`; a row is scored on those subsets that it holds.
    """
    available = rows.observed.available
    if available.shape[1] <= LISTED:
        pairs = all_pairs(available)
        return predict_pairs(net, rows, pairs.row, pairs.subset, use_completion)
    codes = scored_codes(available.shape[1])
    row, which = np.nonzero((codes[None, :] & ~pattern_codes(available)[:, None]) == 0)
    return predict_pairs(net, rows, row, codes[which], use_completion)


def predict_full(net: MultimodalNet, rows: DeviceRows) -> Predictions:
    """Predict each row from everything that it holds."""
    pattern = pattern_codes(rows.observed.available)
    held = np.flatnonzero(pattern)
    return predict_pairs(net, rows, held, pattern[held])
