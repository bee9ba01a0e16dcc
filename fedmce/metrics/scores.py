"""Scores per subset, per site and overall, from sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedmce.metrics.sums import Cells, add_cells, ratio
from fedmce.subsets import scored_subsets

Scores = dict[str, float | None]


def balanced_accuracy(cells: Cells, subset: int) -> float | None:
    """Mean recall over the classes that occur."""
    recalls = [ratio(by_subset.get(subset)) for metric, by_subset in cells.items() if metric.startswith("recall:")]
    known = [r for r in recalls if r is not None]
    return sum(known) / len(known) if known else None


def primary(cells: Cells, metric: str, subsets: Mapping[str, int]) -> Scores:
    """The task's own score per subset name.

    ``auc_within_sites`` adds concordant pairs and pairs over sites: every compared pair lies inside one
    site, so knowing the site earns nothing, and a site counts by the pairs that it can compare.
    """
    key = "auc" if metric == "auc_within_sites" else metric
    return {name: ratio(cells.get(key, {}).get(code)) for name, code in subsets.items()}


def summary(cells_by_site: Mapping[str, Cells], metric: str, modalities: Sequence[str]) -> dict[str, Any]:
    """All scores of one evaluation, ready for the record.

    Args:
        cells_by_site: sums of each site's rows.
        metric: the task's primary metric.
        modalities: names in order.

    Returns:
        ``per_subset, rows, mean_subset, worst_subset, full, per_site, secondary, secondary_per_site``
        as docs/record.md describes them. None where nothing was scored.
    """
    subsets = scored_subsets(modalities)
    whole = add_cells(cells_by_site)
    per_subset = primary(whole, metric, subsets)
    known = [score for score in per_subset.values() if score is not None]
    secondary: dict[str, Scores] = {"balanced_accuracy": {n: balanced_accuracy(whole, c) for n, c in subsets.items()}}
    if metric != "accuracy":
        secondary["accuracy"] = primary(whole, "accuracy", subsets)
        by_site = {site: primary(cells, metric, subsets) for site, cells in cells_by_site.items()}
        secondary["auc_site_mean"] = {name: _mean([scores[name] for scores in by_site.values()]) for name in subsets}
    return {
        "metric": metric,
        "per_subset": per_subset,
        "rows": {name: int(whole.get("accuracy", {}).get(code, [0.0, 0.0])[1]) for name, code in subsets.items()},
        "mean_subset": _mean(known),
        "worst_subset": min(known) if known else None,
        "full": per_subset[list(subsets)[-1]],
        "per_site": {site: primary(cells_by_site[site], metric, subsets) for site in sorted(cells_by_site)},
        "secondary": secondary,
        "secondary_per_site": {
            "balanced_accuracy": {
                site: {n: balanced_accuracy(cells_by_site[site], c) for n, c in subsets.items()}
                for site in sorted(cells_by_site)
            }
        },
    }


def completed_summary(
    cells_by_site: Mapping[str, Cells], metric: str, modalities: Sequence[str], use: str
) -> dict[str, Any]:
    """Scores with completed tokens: ``use, per_subset, mean_subset, worst_subset``."""
    whole = summary(cells_by_site, metric, modalities)
    return {"use": use} | {key: whole[key] for key in ("per_subset", "mean_subset", "worst_subset")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
