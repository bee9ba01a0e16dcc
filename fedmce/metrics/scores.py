"""Scores per subset, per site and overall, from sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedmce.metrics.robustness import worst
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


def pooled_cells(cells: Cells) -> Cells:
    """Sums over all subsets, under code 0: every (row, subset) pair counts alike.

    The mean over subsets weighs a subset of few rows as one of many; pooled, a subset counts by its rows. Pairs
    of AUC stay within one site and one subset: knowing how much is missing earns nothing.
    """
    total: Cells = {}
    for metric, by_subset in cells.items():
        pairs = [by_subset[code] for code in sorted(by_subset)]
        total[metric] = {0: [sum(cell[part] for cell in pairs) for part in (0, 1)]}
    return total


def overall(cells: Cells, tables: Mapping[str, Scores]) -> dict[str, dict[str, float | None]]:
    """Both means of each metric that sums can tell: ``mean_subset`` and ``pooled_subset``.

    Args:
        cells: sums over sites.
        tables: metric -> scores per subset; ``balanced_accuracy`` or names of :func:`primary`.
    """
    pool = pooled_cells(cells)
    return {
        name: {
            "mean_subset": mean_score(list(table.values())),
            "pooled_subset": balanced_accuracy(pool, 0)
            if name == "balanced_accuracy"
            else primary(pool, name, {"": 0})[""],
        }
        for name, table in tables.items()
    }


def as_available(cells_by_site: Mapping[str, Cells], metric: str) -> dict[str, Any]:
    """The score where each row is answered with what it really has, over all rows and site by site.

    Args:
        cells_by_site: sums of one pair per row, all under code 0, whatever the row's pattern.
        metric: the task's primary metric.

    Returns:
        ``score``, ``rows``, ``per_site`` {site: score | None}.
    """
    whole, only = add_cells(cells_by_site), {"": 0}
    return {
        "score": primary(whole, metric, only)[""],
        "rows": int(whole.get("accuracy", {}).get(0, [0.0, 0.0])[1]),
        "per_site": {site: primary(cells_by_site[site], metric, only)[""] for site in sorted(cells_by_site)},
    }


def summary(cells_by_site: Mapping[str, Cells], metric: str, modalities: Sequence[str]) -> dict[str, Any]:
    """All scores of one evaluation, ready for the record.

    Args:
        cells_by_site: sums of each site's rows.
        metric: the task's primary metric.
        modalities: names in order.

    Returns:
        ``per_subset, rows, mean_subset, pooled_subset, worst_subset, worst_subset_name, full, per_site, secondary,
        secondary_per_site, overall`` as docs/record.md describes them. None where nothing was scored.
    """
    subsets = scored_subsets(modalities)
    whole = add_cells(cells_by_site)
    per_subset = primary(whole, metric, subsets)
    name, lowest = worst(per_subset)
    secondary: dict[str, Scores] = {"balanced_accuracy": {n: balanced_accuracy(whole, c) for n, c in subsets.items()}}
    if metric != "accuracy":
        secondary["accuracy"] = primary(whole, "accuracy", subsets)
        by_site = {site: primary(cells, metric, subsets) for site, cells in cells_by_site.items()}
        secondary["auc_site_mean"] = {s: mean_score([scores[s] for scores in by_site.values()]) for s in subsets}
    both = overall(whole, {metric: per_subset} | {n: t for n, t in secondary.items() if n != "auc_site_mean"})
    return {
        "metric": metric,
        "per_subset": per_subset,
        "rows": {name: int(whole.get("accuracy", {}).get(code, [0.0, 0.0])[1]) for name, code in subsets.items()},
        "mean_subset": mean_score(list(per_subset.values())),
        "pooled_subset": both[metric]["pooled_subset"],
        "worst_subset": lowest,
        "worst_subset_name": name,
        "full": per_subset[list(subsets)[-1]],
        "per_site": {site: primary(cells_by_site[site], metric, subsets) for site in sorted(cells_by_site)},
        "secondary": secondary,
        "overall": both,
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


def mean_score(values: Sequence[float | None]) -> float | None:
    """Mean of the scores that there are; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
