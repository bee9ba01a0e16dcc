"""Figures 2 and 3: how good is the model with each subset of modalities, pooled and site by site?"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmce.report.story import Scores, Story
from fedmce.report.style import FAINT, INK, NARROW, SOFT, WIDE, canvas, colour, heat_map, marker, missing_patch, short
from fedmce.report.subset_axis import positions, uses_dots, with_subset_axis
from fedmce.report.words import DASH, metric, number


def wilson(share: float, rows: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of rows.

    >>> [round(x, 4) for x in wilson(0.5, 10)]
    [0.2366, 0.7634]
    """
    centre = share + z * z / (2 * rows)
    spread = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return (centre - spread) / scale, (centre + spread) / scale


def interval(story: Story, scores: Scores, subset: str) -> tuple[float, float] | None:
    """Wilson's interval where the score is a share of rows and the rows are known."""
    value, rows = scores.per_subset.get(subset), scores.rows.get(subset)
    if story.start["metric"] != "accuracy" or value is None or not rows:
        return None
    return wilson(value, rows)


def score_per_subset(story: Story, scores: Scores) -> Figure:
    """One dot per subset, grouped by size, with the line of a guess and 95 % intervals of accuracies."""
    subsets, modalities = story.subsets, story.modalities
    heights = positions(subsets)
    each = 0.19 if len(subsets) > 16 else 0.27
    figure = canvas(NARROW, 1.05 + each * heights[-1] + (0.7 if uses_dots(modalities) else 0.1))
    axes = with_subset_axis(figure, modalities, subsets, heights, NARROW)
    for y, subset in zip(heights, subsets, strict=True):
        _dot(axes, story, scores, subset, y, numbers=True)
    empty, label = story.empty_value()
    if empty is not None:
        axes.axvline(empty, color=SOFT, linestyle=":", linewidth=1.1, zorder=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(*_limits(scores, empty))
    axes.set_xlabel(f"{metric(story)}, {scores.split} rows")
    figure.legend(handles=_legend(story, scores, label, empty), loc="outside lower left", ncols=3, handletextpad=0.6)
    return figure


def _dot(axes: Axes, story: Story, scores: Scores, subset: str, y: float, *, numbers: bool) -> None:
    value = scores.per_subset.get(subset)
    if value is None:
        axes.axhspan(y - 0.4, y + 0.4, facecolor="#ececec", edgecolor="#a9afb6", hatch="////", linewidth=0, zorder=0)
        return
    single = subset in story.modalities
    shade = colour(story.modalities, subset) if single else INK if subset == story.full_subset else SOFT
    shape = marker(story.modalities, subset) if single else "*" if subset == story.full_subset else "o"
    bounds = interval(story, scores, subset)
    if bounds:
        axes.plot(bounds, [y, y], color=shade, linewidth=1.6, alpha=0.55, solid_capstyle="butt")
    axes.plot([value], [y], shape, color=shade, markersize=8.5 if shape == "*" else 5.5, zorder=3)
    if numbers:
        right = (bounds[1] if bounds else value) + 0.012
        axes.annotate(number(value), (right, y), (3, 0), textcoords="offset points", va="center", size=7.5)


def _limits(scores: Scores, empty: float | None) -> tuple[float, float]:
    known = [v for v in scores.per_subset.values() if v is not None] + ([] if empty is None else [empty])
    low, high = min(known, default=0.0), max(known, default=1.0)
    margin = 0.12 * max(high - low, 0.1)
    return max(0.0, low - margin), min(1.0, high + margin) + 0.1 * max(high - low, 0.2)


def _legend(story: Story, scores: Scores, label: str, empty: float | None) -> list[Line2D]:
    entries = [Line2D([], [], color=INK, marker="*", ls="", markersize=8, label="all modalities")]
    if empty is not None:
        entries.append(
            Line2D([], [], color=SOFT, linestyle=":", label=f"{label}: {number(empty)}".replace(" (0.5)", ""))
        )
    if any(interval(story, scores, s) for s in story.subsets):
        entries.append(Line2D([], [], color=SOFT, linewidth=1.6, alpha=0.6, label="95 % interval"))
    return entries


def score_per_site_subset(story: Story, scores: Scores) -> Figure | None:
    """Subsets x sites heat map of scores, all sites together at the left; hatched where a site has no row to score.

    None without sites.
    """
    subsets, modalities = story.subsets, story.modalities
    if not scores.per_site:
        return None
    sites = ["all sites", *sorted(scores.per_site)]
    columns = [scores.per_subset, *(scores.per_site[site] for site in sites[1:])]
    table = [[column.get(subset) for column in columns] for subset in subsets]
    values = np.array([[math.nan if v is None else v for v in line] for line in table])
    if np.isnan(values).all():
        return None
    labels_width = 0.2 * len(modalities) if uses_dots(modalities) else 1.0
    width = min(WIDE, max(NARROW, labels_width + 1.0 + 0.36 * len(sites)))
    each = 0.19 if len(subsets) > 16 else 0.27
    figure = canvas(width, 1.0 + each * len(subsets) + 0.055 * max(len(short(s)) for s in sites))
    axes = with_subset_axis(figure, modalities, subsets, [float(i) for i in range(len(subsets))], width)
    norm = Normalize(float(np.nanmin(values)), max(float(np.nanmax(values)), float(np.nanmin(values)) + 1e-6))
    room = (width - labels_width - 1.0) / len(sites)
    digits = 3 if room > 0.36 else 2
    texts = [[DASH if v is None else f"{v:.{digits}f}".removeprefix("0") for v in line] for line in table]
    mappable = heat_map(
        axes, values, texts, maps=[matplotlib.colormaps["cividis"]], norm=norm, text_size=7 if room > 0.3 else 6
    )
    axes.axvline(0.5, color=INK, linewidth=1.4)
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(len(sites)), [short(s) for s in sites], rotation=0 if room > 0.09 * max(map(len, sites)) else 90
    )
    figure.colorbar(mappable, ax=axes, label=metric(story), aspect=max(8.0, each * len(subsets) / 0.16), pad=0.01)
    if np.isnan(values).any():
        figure.legend(handles=[missing_patch("no row of the site to score")], loc="outside lower left")
    return figure
