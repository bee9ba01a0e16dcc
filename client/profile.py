"""Round 0 at a site: what it holds, as counts and sums, nothing per row."""

from __future__ import annotations

import numpy as np

from client.workplace import Workplace
from fedmce.models import feature_sums
from fedmce.subsets import pattern_codes
from fedmce.wire import Arrays, Number


def profile(place: Workplace) -> tuple[dict[str, Number], Arrays]:
    """Counts of rows, modalities, patterns and classes, and the sums behind the normalisation.

    Returns:
        Numbers for the report (``rows``, ``validation_rows``, ``rows_by_modality`` in data set order,
        ``patterns`` and ``pattern_rows``, ``class_rows``) and arrays ``<modality>/total|square|count``
        over observed training entries.
    """
    rows = place.train
    codes, counts = np.unique(pattern_codes(rows.available), return_counts=True)
    numbers: dict[str, Number] = {
        "rows": rows.rows,
        "validation_rows": place.validation.rows,
        "rows_by_modality": [int(n) for n in rows.available.sum(axis=0)],
        "patterns": [int(code) for code in codes],
        "pattern_rows": [int(n) for n in counts],
        "class_rows": [int(n) for n in np.bincount(rows.targets, minlength=len(place.task.classes))],
    }
    arrays: Arrays = {}
    for modality in place.modalities:
        sums = feature_sums(rows.values[modality.name], modality)
        arrays[f"{modality.name}/total"] = sums.total
        arrays[f"{modality.name}/square"] = sums.square
        arrays[f"{modality.name}/count"] = sums.count
    return numbers, arrays
