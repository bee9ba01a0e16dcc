"""Claims, scores and losses of a round, as a site may tell them: over enough rows, to a few digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from fedmce.config.privacy import PrivacyConfig
from fedmce.contributions import ShareTable, Tally, ValueTable
from fedmce.metrics import Cells
from fedmce.privacy.counts import Cohort, rounded

AUC, RECALL = "auc", "recall:"


def told_tally(tally: Tally, told: Cohort, floors: PrivacyConfig) -> Tally:
    """Contributions with the counts of the profile, means to ``claim_decimals``.

    Cells that the profile does not tell are left out. A mean of hits over a known count tells the count of hits, so
    sums are made anew of the rounded mean and the told count.

    Args:
        tally: measured on rows whose pattern is told (:func:`fedmce.privacy.counts.told_rows`).
        told: the same rows, as the profile told them.
        floors: of the site.
    """
    if floors.is_open:
        return tally
    shares = ShareTable(tally.shares.index, _cells(tally.shares.cells, told.sizes, floors))
    if tally.values is None:
        return replace(tally, shares=shares)
    patterns = told.patterns or {}
    rows = {key: patterns[key[0]] for key in tally.values.cells if key[0] in patterns}
    return Tally(shares, ValueTable(tally.values.modalities, _cells(tally.values.cells, rows, floors)))


def _cells(
    cells: Mapping[tuple[int, int], list[float]], rows: Mapping[tuple[int, int], int], floors: PrivacyConfig
) -> dict[tuple[int, int], list[float]]:
    found = {}
    for key, (total, square, count) in cells.items():
        if key in rows and count > 0:
            mean, mean_square = total / count, square / count
            if floors.claim_decimals is not None:
                mean, mean_square = round(mean, floors.claim_decimals), round(mean_square, floors.claim_decimals)
            # Rounded apart, the mean of squares may fall below the square of the mean, which no rows have.
            found[key] = [mean * rows[key], max(mean_square, mean**2) * rows[key], float(rows[key])]
    return found


def told_cells(cells: Cells, floors: PrivacyConfig) -> Cells:
    """Scores over at least ``metric_rows`` rows, to ``metric_digits`` decimals.

    A recall is over rows of one class; ``auc`` is over pairs of rows, so both classes must have ``k_min`` of them.

    Args:
        cells: metric -> subset -> [sum, count], of one kind of prediction or of both.
        floors: of the site.
    """
    if floors.is_open:
        return cells
    found: Cells = {}
    for metric, by_subset in cells.items():
        told = {code: cell for code in by_subset if (cell := _cell(cells, metric, code, floors)) is not None}
        if told:
            found[metric] = told
    return found


def _cell(cells: Cells, metric: str, code: int, floors: PrivacyConfig) -> list[float] | None:
    total, count = cells[metric][code]
    if metric.endswith(AUC):
        prefix = metric.removesuffix(AUC)
        sides = [int(cells[f"{prefix}{RECALL}{c}"][code][1]) for c in (0, 1)]
        told = rounded(sides[0], floors) * rounded(sides[1], floors) if sum(sides) >= floors.metric_rows else 0
    else:
        told = rounded(int(count), floors) if count >= floors.metric_rows else 0
    if not told:
        return None
    mean = total / count
    return [(round(mean, floors.metric_digits) if floors.metric_digits is not None else mean) * told, float(told)]


def told_losses(
    losses: Mapping[str, float], rows: int, rows_by_modality: Mapping[str, int], floors: PrivacyConfig
) -> dict[str, float]:
    """Mean losses of a local training; none over fewer than ``metric_rows`` rows.

    Args:
        losses: by name; a loss that is named after a modality is over the rows that hold it.
        rows: that were trained on.
        rows_by_modality: of these, rows that hold each.
        floors: of the site.
    """
    if floors.is_open:
        return dict(losses)
    digits = floors.metric_digits
    behind = {name: rows_by_modality.get(name.rpartition(".")[2], rows) for name in losses}
    return {
        name: value if digits is None else round(value, digits)
        for name, value in losses.items()
        if behind[name] >= floors.metric_rows
    }


def told_seconds(seconds: float, step_s: float, floors: PrivacyConfig) -> float:
    """Time that work took, up to the next multiple of ``step_s``: exact times tell rows."""
    return seconds if floors.is_open else ceil(seconds / step_s) * step_s
