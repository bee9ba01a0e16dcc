"""Sums of test rows that only the site holds, as its floors let it tell them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedmce.config.privacy import PrivacyConfig
from fedmce.metrics import Cells, CompletionSums
from fedmce.privacy import rounded, told_cells
from fedmce.training import ScoredRows
from fedmce.training.hidden_entries import HiddenEntries


def told_scores(scored: ScoredRows, floors: PrivacyConfig) -> ScoredRows:
    """Scores over enough rows, to a few digits; contributions are told elsewhere.

    Counts behind F1 and calibration are left out: they are counts per class and per bin of confidence, most of them of
    a few rows.

    Args:
        scored: of the site's test rows.
        floors: of the site.
    """
    hidden = scored.hidden
    return replace(
        scored,
        cells=told_cells(scored.cells, floors),
        classes={},
        calibration={},
        completed=_cells(scored.completed, floors),
        stand_ins=_stand_ins(scored, floors),
        own=_cells(scored.own, floors),
        own_validation=_cells(scored.own_validation, floors),
        hidden=_hidden(hidden, floors) if hidden is not None else None,
    )


def _cells(cells: Cells | None, floors: PrivacyConfig) -> Cells | None:
    return None if cells is None else told_cells(cells, floors)


def _stand_ins(scored: ScoredRows, floors: PrivacyConfig) -> dict[str, dict[str, int]] | None:
    if scored.stand_ins is None:
        return None
    return {name: {key: rounded(n, floors) for key, n in counts.items()} for name, counts in scored.stand_ins.items()}


def _hidden(hidden: HiddenEntries, floors: PrivacyConfig) -> HiddenEntries:
    tokens = {
        name: _mean_sums(sums, floors)
        for name, sums in hidden.tokens.items()
        if min(sums.rows, sums.angles) >= floors.metric_rows and rounded(sums.angles, floors)
    }
    return HiddenEntries(tokens, told_cells(hidden.without, floors), told_cells(hidden.with_completed, floors))


def _mean_sums(sums: CompletionSums, floors: PrivacyConfig) -> CompletionSums:
    """The same means of a told number of rows."""
    rows, angles, digits = rounded(sums.rows, floors), rounded(sums.angles, floors), floors.metric_digits

    def mean(total: float, count: int) -> float:
        return total / count if digits is None else round(total / count, digits)

    total = np.array([mean(float(part), sums.rows) for part in sums.total]) * rows
    return CompletionSums(
        rows,
        angles,
        mean(sums.cosine, sums.angles) * angles,
        mean(sums.error, sums.rows) * rows,
        total,
        mean(sums.square, sums.rows) * rows,
    )
