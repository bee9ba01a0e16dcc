"""What rows at the server say beyond the score per subset: F1, calibration, own patterns, hidden entries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from fedmce.metrics import (
    add_cells,
    add_tables,
    as_available,
    brier_score,
    calibration_error,
    calibration_sums,
    class_sums,
    macro_f1,
    mean_score,
    pooled_table,
    primary,
    score_sums,
    spread,
)
from fedmce.metrics.tables import Score, Tables
from fedmce.models import MultimodalNet
from fedmce.subsets import scored_subsets
from fedmce.training import DeviceRows, Predictions, predict_full
from fedmce.training.hidden_entries import completes_tokens, hide_each

Fields = dict[str, Any]


def add_detail(fields: Fields, found: Mapping[str, Predictions], names: tuple[str, ...]) -> None:
    """Put macro-F1 and calibration per subset, and both their means, beside the scores of an evaluation.

    Args:
        fields: of the evaluation (:func:`fedmce.metrics.summary`); ``secondary`` and ``overall`` grow.
        found: predictions of each site's rows from every scored subset.
        names: modality names in order.
    """
    counts = add_tables({site: class_sums(p.subset, p.probability, p.target) for site, p in found.items()})
    sums = add_tables({site: calibration_sums(p.subset, p.probability, p.target) for site, p in found.items()})
    fields["secondary"]["macro_f1"], fields["overall"]["macro_f1"] = _by_subset(counts, macro_f1, names)
    fields["calibration"] = {}
    for name, score in (("expected_calibration_error", calibration_error), ("brier", brier_score)):
        per_subset, means = _by_subset(sums, score, names)
        fields["calibration"][name] = {"per_subset": per_subset} | means


def _by_subset(tables: Tables, score: Score, names: tuple[str, ...]) -> tuple[Fields, Fields]:
    per_subset = {name: score(tables.get(code)) for name, code in scored_subsets(names).items()}
    means = {"mean_subset": mean_score(list(per_subset.values())), "pooled_subset": score(pooled_table(tables))}
    return per_subset, means


def own_patterns(net: MultimodalNet, rows: Mapping[str, DeviceRows], metric: str) -> Fields:
    """Each row answered with everything that it holds: ``score, rows, per_site, fairness``."""
    cells = {}
    for site, held in rows.items():
        p = predict_full(net, held)
        cells[site] = score_sums(np.zeros_like(p.subset), p.probability, p.target)
    found = as_available(cells, metric)
    return found | {"fairness": spread(found["per_site"])}


def completion_quality(net: MultimodalNet, rows: Mapping[str, DeviceRows], metric: str) -> Fields | None:
    """What completion is worth on entries that are there and were hidden; None if the model completes no tokens.

    Returns:
        ``use``, and ``per_modality`` {modality: ``rows`` hidden, ``cosine``, ``normalised_error``, ``without``: score
        from the rest of each row, ``with_completed``: with completed tokens}.
    """
    if not completes_tokens(net):
        return None
    use = net.spec.use_completion if net.spec.use_completion != "off" else "full"
    parts = {site: hide_each(net, held, use) for site, held in rows.items()}
    plain = add_cells({site: part.without for site, part in parts.items()})
    filled = add_cells({site: part.with_completed for site, part in parts.items()})
    per_modality = {}
    for bit, name in enumerate(net.spec.names):
        tokens = [part.tokens[name] for _, part in sorted(parts.items()) if name in part.tokens]
        whole, code = reduce(add, tokens) if tokens else None, {name: 1 << bit}
        per_modality[name] = {
            "rows": whole.rows if whole else 0,
            "cosine": whole.cosine_similarity() if whole else None,
            "normalised_error": whole.normalised_error() if whole else None,
            "without": primary(plain, metric, code)[name],
            "with_completed": primary(filled, metric, code)[name],
        }
    return {"use": use, "per_modality": per_modality}
