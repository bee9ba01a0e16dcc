"""Figures 4 and 5: what changes from round to round."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedmce.metrics.sizes import is_many
from fedmce.report.story import Row, Story
from fedmce.report.style import FAINT, INK, NARROW, SOFT, canvas, colour, heat_map, marker, missing_patch, short
from fedmce.report.words import Setup, contribution_setup, metric


def contributions_and_weights(story: Story) -> Figure | None:
    """Contribution of each modality above, weight of each site in each encoder below; None without rounds."""
    rounds = [r for r in story.rounds if r.get("contributions") or r.get("weights")]
    if not rounds:
        return None
    modalities = story.modalities
    if is_many(modalities):
        return _contribution_map(story, rounds)
    columns = 1 if len(modalities) < 3 else 2
    lines = -(-len(modalities) // columns)
    each = 0.62 + 0.17 * len(story.sites)
    figure = canvas(NARROW if columns == 1 else 7.4, 2.4 + lines * each)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=[2.2, lines * each + 0.2])).ravel()
    _contribution_lines(top.subplots(), rounds, modalities, contribution_setup(story))
    panels = bottom.subplots(lines, columns, squeeze=False).ravel()
    weights = [_weights(story.sites, rounds, m) for m in modalities]
    highest = max((float(np.nanmax(w)) for w in weights if not np.isnan(w).all()), default=1.0)
    norm, cividis = Normalize(0, max(highest, 1e-6)), matplotlib.colormaps["cividis"]
    for axes, modality, values in zip(panels, modalities, weights, strict=False):
        mappable = heat_map(axes, values, None, maps=[cividis], norm=norm)
        axes.set_title(f"encoder of {short(modality)}", color=INK, weight="bold")
        axes.set_yticks(range(len(story.sites)), [short(s, 14) for s in story.sites])
        _round_ticks(axes, rounds)
        _last_weights(axes, values)
    for axes in panels[len(modalities) :]:
        axes.set_visible(False)
    bar = bottom.colorbar(mappable, ax=list(panels), aspect=lines * each / 0.15, pad=0.02)
    bar.set_label("weight of the site in the mean")
    if any(np.isnan(w).any() for w in weights):
        bottom.legend(handles=[missing_patch("not held, or reply set aside")], loc="outside lower left")
    return figure


def _contribution_map(story: Story, rounds: Sequence[Row]) -> Figure:
    """Contributions as a map of modalities x rounds: that many lines could not be told apart."""
    modalities = story.modalities
    tables = [row.get("contributions") or {} for row in rounds]
    values = np.array([[math.nan if (v := t.get(m)) is None else v for t in tables] for m in modalities], np.float64)
    figure = canvas(NARROW, 1.2 + 0.17 * len(modalities))
    axes = figure.add_subplot()
    top = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-6)
    shown = heat_map(axes, values, None, maps=[matplotlib.colormaps["PuOr"]], norm=Normalize(-top, top))
    axes.set_yticks(range(len(modalities)), [short(m, 22) for m in modalities])
    _round_ticks(axes, rounds)
    figure.colorbar(shown, ax=axes, label=contribution_setup(story).axis, aspect=40, pad=0.02)
    return figure


def _contribution_lines(axes: Axes, rounds: Sequence[Row], modalities: Sequence[str], how: Setup) -> None:
    for modality in modalities:
        values = [(row.get("contributions") or {}).get(modality) for row in rounds]
        y = [math.nan if v is None else v for v in values]
        _line(
            axes,
            [row["round"] for row in rounds],
            y,
            colour(modalities, modality),
            marker(modalities, modality),
            modality,
        )
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_title(f"contribution of each modality ({how.index}, {how.model})", weight="bold")
    axes.set_ylabel(how.axis)
    axes.set_xlabel("round")
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _line(axes: Axes, x: Sequence[int], y: Sequence[float], shade: str, shape: str, label: str) -> None:
    every = max(1, len(x) // 10)
    axes.plot(
        x,
        y,
        color=shade,
        marker=shape,
        markevery=every,
        markersize=4.5,
        linewidth=1.4,
        label=short(label, 22),
        zorder=3,
    )


def _weights(
    sites: Sequence[str], rounds: Sequence[Row], modality: str
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    tables = [(row.get("weights") or {}).get(f"encoder.{modality}") or {} for row in rounds]
    return np.array([[table.get(site, math.nan) for table in tables] for site in sites], dtype=np.float64)


def _last_weights(axes: Axes, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    """The newest weight of each site, in figures, at the right edge of its row."""
    rows, columns = values.shape
    for row in range(rows):
        text = "–" if math.isnan(values[row, -1]) else f"{values[row, -1]:.2f}"
        axes.annotate(text, (columns - 0.5, row), (4, 0), textcoords="offset points", va="center", size=7.5)
    axes.set_title("last", loc="right", size=7.5, color=SOFT)


def _round_ticks(axes: Axes, rounds: Sequence[Row]) -> None:
    numbers = [int(row["round"]) for row in rounds]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if len(numbers) / s <= 8)
    chosen = [i for i, n in enumerate(numbers) if n % step == 0 or i == 0]
    axes.set_xticks(chosen, [str(numbers[i]) for i in chosen])
    axes.set_xlabel("round")


def learning_curve(story: Story) -> Figure | None:
    """Mean-subset and per-subset scores over rounds, validation dashed; None without an evaluation."""
    test, validation = story.curve("test"), story.curve("validation")
    if not test and not validation:
        return None
    figure = canvas(NARROW, 3.1 + 0.1 * (len(story.modalities) + 4))
    axes = figure.add_subplot()
    _curves(axes, story, test, dashed=False)
    _curves(axes, story, validation, dashed=True)
    empty, label = story.empty_value()
    if empty is not None:
        axes.axhline(empty, color=SOFT, linestyle=":", linewidth=1.1, label=label)
    axes.set_xlabel("rounds that the scored model has seen")
    axes.set_ylabel(metric(story))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _curves(axes: Axes, story: Story, curve: Sequence[Row], *, dashed: bool) -> None:
    if not curve:
        return
    x = [int(row["round"]) for row in curve]
    names, style = story.modalities, "--" if dashed else "-"
    mean = [math.nan if row["mean_subset"] is None else row["mean_subset"] for row in curve]
    split = ", validation" if dashed else ""
    axes.plot(x, mean, style, color=INK, linewidth=1.2 if dashed else 2.2, label=f"mean over subsets{split}", zorder=2)
    if dashed:
        return
    others = [s for s in story.subsets if s not in names and s != story.full_subset]
    for i, subset in enumerate(others):
        axes.plot(
            x,
            _series(curve, subset),
            color=FAINT,
            linewidth=0.8,
            zorder=1,
            label=("means by size" if is_many(names) else "other subsets") if not i else None,
        )
    for name in () if is_many(names) else names:
        _line(axes, x, _series(curve, name), colour(names, name), marker(names, name), f"{name} alone")
    _line(axes, x, _series(curve, story.full_subset), SOFT, "*", "all modalities")


def _series(curve: Sequence[Row], subset: str) -> list[float]:
    return [math.nan if (v := row["per_subset"].get(subset)) is None else v for row in curve]
