"""Figure: contribution and weight of each site over the rounds of one run."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fedmce.report.style import WIDE, canvas, heat_map, missing_patch, short
from fedmce.study.results import Place, Results

Map = np.ndarray[tuple[int, int], np.dtype[np.float64]]
MOST = 6
"""Modalities that are drawn."""


def traced(results: Results) -> tuple[Place, dict[str, Any]] | None:
    """The run that was kept round by round."""
    return next(((place, record) for place, record in results.records.items() if record.get("trace")), None)


def over_rounds(record: dict[str, Any]) -> Figure | None:
    """Sites x rounds, a column per modality: contribution above, weight of the site's encoder below.

    None where the run measured neither.
    """
    rounds, sites = record["trace"], sorted(record["sites"])
    names = list(record["modalities"])[:MOST]
    shares = [_table(rounds, sites, "contributions_by_site", name, inner=True) for name in names]
    weights = [_table(rounds, sites, "weights", f"encoder.{name}", inner=False) for name in names]
    kinds = [
        (k, t) for k, t in (("contribution", shares), ("weight", weights)) if not all(np.isnan(m).all() for m in t)
    ]
    if not kinds:
        return None
    each = 0.2 if len(sites) > 8 else 0.26
    figure = canvas(min(WIDE, 2.2 + 2.6 * len(names)), len(kinds) * (each * len(sites) + 0.75) + 0.3)
    grid = figure.add_gridspec(len(kinds), len(names))
    gaps = False
    for row, (kind, tables) in enumerate(kinds):
        norm, tones = _scale(kind, tables)
        panels = []
        for column, (name, values) in enumerate(zip(names, tables, strict=True)):
            axes = figure.add_subplot(grid[row, column])
            heat_map(axes, values, None, maps=[matplotlib.colormaps[tones]], norm=norm)
            axes.set_title(f"{kind} of {short(name)}", weight="bold")
            axes.set_yticks(
                range(len(sites)), [short(site, 20) for site in sites] if column == 0 else [""] * len(sites)
            )
            _rounds(axes, [int(entry["round"]) for entry in rounds], last=row == len(kinds) - 1)
            panels.append(axes)
            gaps |= bool(np.isnan(values).any())
        figure.colorbar(ScalarMappable(norm, tones), ax=panels, aspect=18, pad=0.01)
    if gaps:
        figure.legend(
            handles=[missing_patch("the site does not hold it, or nothing was measured")], loc="outside lower left"
        )
    return figure


def _table(rounds: list[dict[str, Any]], sites: list[str], key: str, name: str, *, inner: bool) -> Map:
    """Sites x rounds: ``row[key][site][name]`` (inner) or ``row[key][name][site]``; NaN where there is none."""
    found = np.full((len(sites), len(rounds)), math.nan)
    for column, entry in enumerate(rounds):
        table = entry.get(key) or {}
        for row, site in enumerate(sites):
            value = (table.get(site) or {}).get(name) if inner else (table.get(name) or {}).get(site)
            found[row, column] = math.nan if value is None else float(value)
    return found


def _scale(kind: str, tables: list[Map]) -> tuple[Normalize, str]:
    high = max(float(np.nanmax(np.abs(t), initial=0.0)) for t in tables) or 1e-6
    if kind == "contribution":
        return Normalize(-high, high), "PuOr_r"
    low = min(float(np.nanmin(t, initial=math.inf)) for t in tables)
    return Normalize(min(low, high - 1e-6), high), "cividis"


def _rounds(axes: Any, numbers: list[int], *, last: bool) -> None:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if len(numbers) / s <= 8)
    chosen = [at for at, number in enumerate(numbers) if number % step == 0 or at == 0]
    axes.set_xticks(chosen, [str(numbers[at]) for at in chosen] if last else [""] * len(chosen))
    axes.set_xlabel("round" if last else "")
