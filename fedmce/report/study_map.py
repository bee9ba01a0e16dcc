"""Figures: methods x settings, scores and differences from the reference, one panel per data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fedmce.report.study_looks import means, ordered
from fedmce.report.style import INK, SOFT, canvas, heat_map, missing_patch, short
from fedmce.study.compare import Comparison
from fedmce.study.results import Results

CELL, ROW, MARGIN, LINE = 0.52, 0.26, 1.7, 9.4
"""Inches: a cell's width and height, room for names, and the cells of a line at most."""


def score_map(results: Results) -> Figure | None:
    """Mean score over seeds; colours run from the lowest to the highest score of a data set."""
    table = means(results)
    if not table:
        return None
    rows = [name for name in ordered(results) if any(method == name for method, _ in table)]
    figure, panels = _panels(results, len(rows))
    gaps = False
    for panel in panels:
        axes, settings = panel.axes, panel.settings
        values = np.array([[table.get((name, setting), math.nan) for setting in settings] for name in rows])
        norm = _span(values)
        texts = [["–" if math.isnan(v) else _score(v) for v in line] for line in values]
        heat_map(axes, values, texts, maps=[matplotlib.colormaps["cividis"]], norm=norm, text_size=7)
        _mark_best(axes, results, rows, values)
        gaps |= bool(np.isnan(values).any())
    _names(results, panels, rows)
    if gaps:
        figure.legend(handles=[missing_patch("no finished run")], loc="outside lower left")
    return figure


def difference_map(results: Results, found: Sequence[Comparison]) -> Figure | None:
    """Reference minus each method in points of the score; a star where the paired 95 % interval excludes zero."""
    reference, metric = results.study.reference, results.study.metric
    table = {(c.second, c.setting): c for c in found if c.first == reference and c.metric == metric}
    table = {key: c for key, c in table.items() if key[1] in results.facts}
    rows = [name for name in ordered(results) if any(method == name for method, _ in table)]
    if not rows:
        return None
    figure, panels = _panels(results, len(rows))
    gaps = False
    compete = [c for (name, _), c in table.items() if not results.study.methods[name].bound] or list(table.values())
    # Bounds may be far away; they would leave the others without colour.
    top = max((abs(c.difference) for c in compete), default=0.0) or 1e-6
    tones: Colormap = matplotlib.colormaps["PuOr_r"]
    for panel in panels:
        axes, settings = panel.axes, panel.settings
        values = np.array([[_difference(table, name, setting) for setting in settings] for name in rows])
        texts = [[_text(table.get((name, setting))) for setting in settings] for name in rows]
        heat_map(axes, values, texts, maps=[tones], norm=Normalize(-top, top, clip=True), text_size=7)
        gaps |= bool(np.isnan(values).any())
    _names(results, panels, rows)
    if gaps:
        figure.legend(handles=[missing_patch("no pair of runs")], loc="outside lower left")
    return figure


def by_dataset(results: Results) -> dict[str, list[str]]:
    """Settings of each data set, in the order of the study."""
    found: dict[str, list[str]] = {}
    for setting, facts in results.facts.items():
        found.setdefault(facts.dataset, []).append(setting)
    return found


@dataclass(frozen=True)
class Panel:
    """The settings of one data set; ``leads`` where it stands first in its line and so carries the names."""

    axes: Axes
    settings: list[str]
    leads: bool


def _panels(results: Results, rows: int) -> tuple[Figure, list[Panel]]:
    """A panel per data set, as many in a line as the page is wide."""
    groups = by_dataset(results)
    # A narrow panel is as wide as its title.
    widths = {name: max(CELL * len(own), 0.085 * len(short(name))) for name, own in groups.items()}
    lines: list[list[str]] = [[]]
    for name in groups:
        if lines[-1] and sum(widths[other] for other in [*lines[-1], name]) > LINE:
            lines.append([])
        lines[-1].append(name)
    inches = [sum(widths[name] for name in line) for line in lines]
    rotated = 0.065 * max(len(_label(results, setting)) for setting in results.study.settings)
    figure = canvas(max(MARGIN + max(inches), 3.4), len(lines) * (ROW * rows + 0.6 + rotated) + 0.15)
    outer = figure.add_gridspec(len(lines), 1)
    found = []
    for number, (line, used) in enumerate(zip(lines, inches, strict=True)):
        ratios = [*(widths[name] for name in line), *([max(inches) - used] if used < max(inches) else [])]
        grid = outer[number].subgridspec(1, len(ratios), width_ratios=ratios)
        for place, name in enumerate(line):
            axes = figure.add_subplot(grid[place])
            axes.set_title(short(name), weight="bold", pad=8)
            found.append(Panel(axes, groups[name], place == 0))
    return figure, found


def _names(results: Results, panels: list[Panel], rows: list[str]) -> None:
    for panel in panels:
        axes, settings = panel.axes, panel.settings
        axes.xaxis.tick_bottom()
        axes.set_xticks(range(len(settings)), [_label(results, s) for s in settings], rotation=90)
        bound = [
            f"{short(name, 24)} (bound)" if results.study.methods[name].bound else short(name, 26) for name in rows
        ]
        axes.set_yticks(range(len(rows)), bound if panel.leads else [""] * len(rows))
        for text, name in zip(axes.get_yticklabels(), rows, strict=True):
            text.set_fontweight("bold" if name == results.study.reference else "normal")
            text.set_color(SOFT if results.study.methods[name].bound else INK)


def _label(results: Results, setting: str) -> str:
    """The protocol (with x) where it tells the settings of the data set apart, else the setting."""

    def name(setting: str) -> tuple[str, str]:
        facts = results.facts[setting]
        return facts.dataset, facts.protocol if facts.x is None else f"{facts.protocol}, {facts.x:g}"

    own = name(setting)
    return short(own[1] if sum(name(other) == own for other in results.facts) == 1 else setting, 26)


def _mark_best(
    axes: Axes, results: Results, rows: list[str], values: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> None:
    """A frame around the best competitor of each column."""
    compete = [i for i, name in enumerate(rows) if not results.study.methods[name].bound]
    for column in range(values.shape[1]):
        own = [(values[i, column], i) for i in compete if not math.isnan(values[i, column])]
        if len(own) > 1:
            best = max(own)[1]
            axes.add_patch(
                Rectangle((column - 0.47, best - 0.47), 0.94, 0.94, fill=False, edgecolor=INK, linewidth=1.6)
            )


def _span(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Normalize:
    if np.isnan(values).all():
        return Normalize(0, 1)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return Normalize(low, max(high, low + 1e-6))


def _difference(table: Mapping[tuple[str, str], Comparison], name: str, setting: str) -> float:
    found = table.get((name, setting))
    return math.nan if found is None else found.difference


def _score(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _text(found: Comparison | None) -> str:
    return "–" if found is None else f"{100 * found.difference:+.1f}" + ("*" if found.is_clear else "")
