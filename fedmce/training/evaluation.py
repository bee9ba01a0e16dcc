"""Predictions of every subset of what each row holds, in evaluation mode and full precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fedmce.contributions import ValueTable
from fedmce.metrics import Cells, score_sums
from fedmce.models import MultimodalNet
from fedmce.objectives.pairs import all_pairs
from fedmce.training.device_rows import DeviceRows

CHUNK = 512


@dataclass(frozen=True)
class Predictions:
    """Predictions of all (row, subset) pairs of some rows.

    Attributes:
        row: int64 ``(pairs,)``.
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

    def values(self, modalities: int) -> ValueTable:
        """Value table with v = 1 where the prediction is right, else 0 (accuracy as value)."""
        table = ValueTable(modalities)
        table.add(self.pattern, self.subset, self.right.astype(np.float64))
        return table


@torch.no_grad()
def predict_subsets(net: MultimodalNet, rows: DeviceRows) -> Predictions:
    """Score every non-empty subset of what each row holds; encoders run once per row and modality."""
    net.eval()
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    alone: list[npt.NDArray[np.float64]] = []
    for start in range(0, rows.count, CHUNK):
        chosen = np.arange(start, min(start + CHUNK, rows.count))
        batch, available = rows.batch(chosen)
        pairs = all_pairs(available)
        token = net.encode(batch)
        unimodal = net.unimodal(token)
        row = torch.from_numpy(pairs.row).to(rows.device)
        logits = net.fuse(token, row, torch.from_numpy(pairs.member).to(rows.device), unimodal)
        probability = logits.double().softmax(dim=1).cpu().numpy()
        parts.append((pairs.row + start, pairs.subset, pairs.pattern, probability))
        if unimodal is not None:
            alone.append(unimodal.double().softmax(dim=2).cpu().numpy())
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Predictions(none, none, none, np.zeros((0, len(net.spec.classes))), none, None)
    row_p, subset, pattern, probability = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    target = rows.observed.targets[row_p]
    return Predictions(row_p, subset, pattern, probability, target, np.concatenate(alone) if alone else None)
