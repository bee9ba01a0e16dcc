"""Round 0 at a site: what it holds, as counts and sums, nothing per row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from client.workplace import Workplace
from fedmce.contributions import size_counts, tells_patterns
from fedmce.models import entry_sums, feature_sums
from fedmce.subsets import pattern_codes
from fedmce.wire import Arrays, Number


def profile(place: Workplace) -> tuple[dict[str, Number], Arrays]:
    """Counts of rows, modalities, patterns and classes, and the sums behind the normalisation.

    Returns:
        Numbers for the report (``rows``, ``validation_rows``, ``test_rows``, ``rows_by_modality`` in data set order,
        ``train.*`` and, of rows held out, ``heldout.*`` as :func:`availability_counts` names them,
        ``class_rows``) and arrays ``<modality>/total|square|count`` over observed training entries; with
        ``model.absent=mean_input`` and ``knn_input`` also ``entry_total|entry_count`` for every entry by itself.
    """
    rows = place.train
    numbers: dict[str, Number] = {
        "rows": rows.rows,
        "validation_rows": place.validation.rows,
        "test_rows": place.test.rows if place.test is not None else 0,
        "rows_by_modality": [int(n) for n in rows.available.sum(axis=0)],
        "class_rows": [int(n) for n in np.bincount(rows.targets, minlength=len(place.task.classes))],
    }
    numbers |= _named("train", availability_counts(rows.available, place))
    if place.heldout is not None:
        # As the network of this site sees them: it has no components for what no training row holds.
        usable = rows.available.any(axis=0) | place.config.aggregation.whole_model
        seen = place.heldout.available & usable
        numbers |= _named("heldout", availability_counts(seen[seen.any(axis=1)], place))
    arrays: Arrays = {}
    for modality in place.modalities:
        sums = feature_sums(rows.values[modality.name], modality)
        arrays[f"{modality.name}/total"] = sums.total
        arrays[f"{modality.name}/square"] = sums.square
        arrays[f"{modality.name}/count"] = sums.count
        if place.spec.needs_blank:
            entries = entry_sums(rows.values[modality.name])
            arrays[f"{modality.name}/entry_total"] = entries.total
            arrays[f"{modality.name}/entry_count"] = entries.count
    return numbers, arrays


def availability_counts(available: npt.NDArray[np.bool_], place: Workplace) -> dict[str, list[int]]:
    """Rows by what they hold.

    Args:
        available: bool ``(rows, modalities)``.
        place: its data set decides which counts.

    Returns:
        ``size.modality, size.size, size.rows``: rows per modality and number of modalities held; and, where
        every subset is predicted, ``patterns, pattern_rows``. With many modalities a pattern is nearly a
        row of its own, so patterns do not travel.
    """
    sizes = size_counts(available)
    keys = sorted(sizes)
    found = {
        "size.modality": [bit for bit, _ in keys],
        "size.size": [size for _, size in keys],
        "size.rows": [sizes[key] for key in keys],
    }
    if tells_patterns(place.config.contributions, len(place.names)):
        codes, counts = np.unique(pattern_codes(available), return_counts=True)
        found |= {"patterns": codes.tolist(), "pattern_rows": counts.tolist()}
    return found


def _named(rows: str, counts: dict[str, list[int]]) -> dict[str, Number]:
    # Empty lists are left out, since their type would be unknown.
    return {f"{rows}.{name}": column for name, column in counts.items() if column}
