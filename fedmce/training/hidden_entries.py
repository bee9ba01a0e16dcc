"""Completion graded where the truth is known: each held modality is hidden and completed from the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np
import torch

from fedmce.metrics import Cells, score_sums
from fedmce.metrics.hidden import CompletionSums
from fedmce.models import MultimodalNet, logits_with_completion
from fedmce.subsets import members, pattern_codes
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import CHUNK


@dataclass(frozen=True)
class HiddenEntries:
    """What came of hiding every held modality of some rows, one at a time.

    Attributes:
        tokens: modality -> sums over the hidden tokens; only modalities that were hidden somewhere.
        without: scores from the rest of the row alone, under the code of the hidden modality.
        with_completed: the same with completed tokens for what is not given.
    """

    tokens: dict[str, CompletionSums] = field(default_factory=dict)
    without: Cells = field(default_factory=dict)
    with_completed: Cells = field(default_factory=dict)


def completes_tokens(net: MultimodalNet) -> bool:
    """Whether the network guesses tokens of absent modalities."""
    return net.spec.completion and net.spec.completion_target == "token" and len(net.completion) > 0


@torch.no_grad()
def hide_each(net: MultimodalNet, rows: DeviceRows, use: str = "full") -> HiddenEntries:
    """Hide each held modality of each row that holds another, and complete it from the rest.

    Args:
        net: with completion heads of tokens (:func:`completes_tokens`); left in evaluation mode.
        rows: the rows; what they naturally lack is neither hidden nor graded.
        use: how completed tokens enter the prediction, ``full`` or ``mean``
            (:func:`fedmce.models.logits_with_completion`).
    """
    net.eval()
    names = net.spec.names
    sums: dict[str, list[CompletionSums]] = {}
    hidden: list[np.ndarray] = []
    plain, filled, target = [], [], []
    for start in range(0, rows.count, CHUNK):
        batch, available = rows.batch(np.arange(start, min(start + CHUNK, rows.count)))
        row, column = np.nonzero(available & (available.sum(axis=1, keepdims=True) > 1))
        token, row_p = net.encode(batch), torch.from_numpy(row).to(rows.device)
        code = pattern_codes(available)[row] ^ (1 << column)
        member_pm = torch.from_numpy(members(code, len(names))).to(rows.device)
        logits = net.fuse(token, row_p, member_pm)
        guess = net.complete(token, row_p, member_pm)[0].double().cpu().numpy()
        truth = token.double().cpu().numpy()
        for m, name in enumerate(names):
            here = column == m
            if here.any():
                sums.setdefault(name, []).append(CompletionSums.of(guess[here, m], truth[row[here], m]))
        completed = logits_with_completion(net, token, row_p, member_pm, logits, use)
        hidden.append(np.int64(1) << column)
        plain.append(logits.double().softmax(dim=1).cpu().numpy())
        filled.append(completed.double().softmax(dim=1).cpu().numpy())
        target.append(rows.observed.targets[start + row])
    if not hidden:
        return HiddenEntries()
    code, right = np.concatenate(hidden), np.concatenate(target)
    cells = (score_sums(code, np.concatenate(p), right) for p in (plain, filled))
    return HiddenEntries({name: reduce(add, parts) for name, parts in sums.items()}, *cells)
