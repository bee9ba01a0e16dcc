"""Sums of test rows as the fields of an evaluation: scores per subset, F1, calibration, contributions, own patterns.

The sums come from rows at the server (simulation) or from the sites' replies; nobody could tell from the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from fedmce.metrics import (
    Cells,
    add_cells,
    add_tables,
    as_available,
    brier_score,
    calibration_error,
    completed_summary,
    macro_f1,
    mean_score,
    pooled_table,
    primary,
    spread,
    summary,
)
from fedmce.metrics.tables import Score, Tables
from fedmce.models import NetworkSpec
from fedmce.subsets import scored_subsets
from fedmce.training import ScoredRows
from fedmce.training.hidden_entries import HiddenEntries
from fedmce.training.scored import StandIns

Fields = dict[str, Any]


def evaluation_fields(
    parts: Mapping[str, ScoredRows], spec: NetworkSpec, metric: str, empty_value: float, *, last: bool
) -> Fields:
    """Fields of the ``evaluation`` event: scores, calibration, contributions, interactions.

    Args:
        parts: sums per site, at least one; those of a site without test rows are empty.
        spec: the network.
        metric: the task's primary metric.
        empty_value: v(nothing) of the value tables.
        last: nothing is trained after it; then also scores with what each row has, and completion of hidden entries.
    """
    names, scored = spec.names, {site: part for site, part in sorted(parts.items()) if part.cells}
    fields = summary({site: part.cells for site, part in scored.items()}, metric, names)
    _add_detail(fields, scored, names)
    whole = reduce(add, (part.tally for _, part in sorted(parts.items())))
    fields["contributions"] = whole.contributions(names, empty_value)
    fields["contributions_se"] = whole.standard_errors(names, empty_value)
    fields["interactions"] = whole.interactions(names, empty_value)
    if (use := spec.use_completion) != "off":
        apart = {site: part.completed for site, part in scored.items() if part.completed is not None}
        fields["completed"] = completed_summary(apart, metric, names, use)
    if (counts := _stand_ins(scored)) is not None:
        fields["imputation"] = counts
    if last:
        own = {site: part.own for site, part in parts.items() if part.own is not None}
        seen = {site: part.own_validation for site, part in parts.items() if part.own_validation is not None}
        fields["as_available"] = {"test": _own_patterns(own, metric), "validation": _own_patterns(seen, metric)}
        hidden = {site: part.hidden for site, part in scored.items() if part.hidden is not None}
        completes = spec.completion and spec.completion_target == "token" and len(names) > 1
        fields["completion_quality"] = _completion_quality(hidden, spec, metric) if completes else None
    return fields


def _add_detail(fields: Fields, parts: Mapping[str, ScoredRows], names: tuple[str, ...]) -> None:
    """Macro-F1 and calibration per subset, and both their means, beside the scores."""
    counts = add_tables({site: part.classes for site, part in parts.items()})
    sums = add_tables({site: part.calibration for site, part in parts.items()})
    fields["secondary"]["macro_f1"], fields["overall"]["macro_f1"] = _by_subset(counts, macro_f1, names)
    fields["calibration"] = {}
    for name, score in (("expected_calibration_error", calibration_error), ("brier", brier_score)):
        per_subset, means = _by_subset(sums, score, names)
        fields["calibration"][name] = {"per_subset": per_subset} | means


def _by_subset(tables: Tables, score: Score, names: tuple[str, ...]) -> tuple[Fields, Fields]:
    per_subset = {name: score(tables.get(code)) for name, code in scored_subsets(names).items()}
    means = {"mean_subset": mean_score(list(per_subset.values())), "pooled_subset": score(pooled_table(tables))}
    return per_subset, means


def _stand_ins(parts: Mapping[str, ScoredRows]) -> StandIns | None:
    """Per modality, over all scored (row, subset) pairs: what was filled in; None where nothing is."""
    total: StandIns = {}
    for part in parts.values():
        if part.stand_ins is None:
            return None
        for name, counts in part.stand_ins.items():
            here = total.setdefault(name, dict.fromkeys(counts, 0))
            for key, count in counts.items():
                here[key] += count
    return total


def _own_patterns(cells: Mapping[str, Cells], metric: str) -> Fields:
    """Each row answered with everything that it holds: ``score, rows, per_site, fairness``."""
    found = as_available(cells, metric)
    return found | {"fairness": spread(found["per_site"])}


def _completion_quality(parts: Mapping[str, HiddenEntries], spec: NetworkSpec, metric: str) -> Fields:
    """What completion is worth on entries that are there and were hidden.

    Returns:
        ``use``, and ``per_modality`` {modality: ``rows`` hidden, ``cosine``, ``normalised_error``, ``without``: score
        from the rest of each row, ``with_completed``: with completed tokens}.
    """
    use = spec.use_completion if spec.use_completion != "off" else "full"
    plain = add_cells({site: part.without for site, part in parts.items()})
    filled = add_cells({site: part.with_completed for site, part in parts.items()})
    per_modality = {}
    for bit, name in enumerate(spec.names):
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
