"""Sums of test rows as columns of numbers: what a site sends of rows that only it holds.

Scores per subset travel as ``score.*`` like those of validation rows; everything beside them under ``test.*``:
``test.<group>.<metric>.subset|total|count`` for further cells, ``test.classes|calibration.subset|sums`` for tables
(sums of one subset after the other, line by line), ``test.value|share.*`` for contributions, ``test.hidden.*`` and
``test.stand_ins.*``. Empty columns are left out, since their type would be unknown. Nothing here is per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedmce.contributions import Tally
from fedmce.metrics import Cells, CompletionSums
from fedmce.metrics.tables import Tables
from fedmce.training.hidden_entries import HiddenEntries
from fedmce.training.scored import ScoredRows, StandIns
from fedmce.wire import Number

PREFIX = "test."
# Cells beside the plain ones; a row answered with what it holds counts under the code of all modalities.
GROUPS = ("completed", "own", "own_validation", "without", "with_completed")
HIDDEN = ("rows", "angles", "cosine", "error", "square")
STAND_INS = ("stand_ins", "federated_mean")


def cell_columns(cells: Cells, prefix: str) -> dict[str, Number]:
    """Metric sums as columns ``<prefix><metric>.subset|total|count``."""
    found: dict[str, Number] = {}
    for metric, by_subset in cells.items():
        codes = sorted(by_subset)
        if codes:
            found[f"{prefix}{metric}.subset"] = codes
            found[f"{prefix}{metric}.total"] = [float(by_subset[c][0]) for c in codes]
            found[f"{prefix}{metric}.count"] = [float(by_subset[c][1]) for c in codes]
    return found


def tally_columns(tally: Tally, prefix: str = "") -> dict[str, Number]:
    """Columns ``value.pattern|subset|total|square|rows`` and ``share.modality|size|total|square|rows``."""
    tables = {"share": tally.shares.to_columns()}
    if tally.values is not None:
        tables["value"] = tally.values.to_columns()
    return {
        f"{prefix}{table}.{name}": column
        for table, columns in tables.items()
        for name, column in columns.items()
        if column
    }


def scored_columns(scored: ScoredRows, modalities: Sequence[str]) -> dict[str, Number]:
    """All columns under :data:`PREFIX`.

    Args:
        scored: sums of the site's rows.
        modalities: names in data set order.
    """
    found = tally_columns(scored.tally, PREFIX)
    for name, tables in (("classes", scored.classes), ("calibration", scored.calibration)):
        if tables:
            codes = sorted(tables)
            found[f"{PREFIX}{name}.subset"] = codes
            found[f"{PREFIX}{name}.sums"] = np.concatenate([tables[code].ravel() for code in codes]).tolist()
    hidden, every = scored.hidden or HiddenEntries(), (1 << len(modalities)) - 1
    groups = {
        "completed": scored.completed,
        "own": _moved(scored.own, 0, every),
        "own_validation": _moved(scored.own_validation, 0, every),
        "without": hidden.without,
        "with_completed": hidden.with_completed,
    }
    for group, cells in groups.items():
        found |= cell_columns(cells or {}, f"{PREFIX}{group}.")
    found |= _hidden_columns(hidden.tokens, modalities)
    if scored.stand_ins:
        found[f"{PREFIX}stand_ins.modality"] = [modalities.index(name) for name in scored.stand_ins]
        for key in STAND_INS:
            found[f"{PREFIX}stand_ins.{key}"] = [counts[key] for counts in scored.stand_ins.values()]
    return found


def _hidden_columns(tokens: Mapping[str, CompletionSums], modalities: Sequence[str]) -> dict[str, Number]:
    names = [name for name in modalities if name in tokens]
    if not names:
        return {}
    found: dict[str, Number] = {f"{PREFIX}hidden.modality": [modalities.index(name) for name in names]}
    for key in HIDDEN:
        found[f"{PREFIX}hidden.{key}"] = [getattr(tokens[name], key) for name in names]
    found[f"{PREFIX}hidden.total"] = np.concatenate([tokens[name].total for name in names]).tolist()
    return found


def read_hidden(columns: Mapping[str, Any], modalities: Sequence[str]) -> dict[str, CompletionSums]:
    """Inverse of the ``test.hidden`` columns; ``columns`` without the prefix, lists of checked lengths."""
    bits, width = columns["modality"], len(columns["total"]) // len(columns["modality"])
    totals = np.asarray(columns["total"], dtype=np.float64).reshape(len(bits), width)
    rows = zip(*(columns[key] for key in HIDDEN), strict=True)
    return {
        modalities[bit]: CompletionSums(int(n), int(angles), float(cosine), float(error), total, float(square))
        for bit, total, (n, angles, cosine, error, square) in zip(bits, totals, rows, strict=True)
    }


def read_tables(codes: Sequence[int], sums: Sequence[float], lines: int) -> Tables:
    """Inverse of a table's columns; lists of checked lengths."""
    whole = np.asarray(sums, dtype=np.float64).reshape(len(codes), lines, -1)
    return dict(zip(codes, whole, strict=True))


def read_stand_ins(columns: Mapping[str, Any], modalities: Sequence[str]) -> StandIns:
    """Inverse of the ``test.stand_ins`` columns; ``columns`` without the prefix, lists of checked lengths."""
    rows = zip(*(columns[key] for key in STAND_INS), strict=True)
    return {
        modalities[bit]: dict(zip(STAND_INS, map(int, counts), strict=True))
        for bit, counts in zip(columns["modality"], rows, strict=True)
    }


def back_to_own(cells: Cells | None, modalities: int) -> Cells | None:
    """Cells of own patterns under code 0 again."""
    return _moved(cells, (1 << modalities) - 1, 0)


def _moved(cells: Cells | None, old: int, new: int) -> Cells | None:
    if cells is None:
        return None
    return {metric: {new: by_subset[old]} for metric, by_subset in cells.items() if old in by_subset}
