"""Figure: the lattice of subsets, each node with its score."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmce.report.style import FAINT, INK, MISSING, WIDE, canvas, colour, ink_on, short
from fedmce.study.bars import best_other
from fedmce.study.results import Results

MOST = 5
"""Modalities up to which the lattice is drawn: 31 nodes, 10 on a level."""


def lattice(results: Results, setting: str) -> Figure | None:
    """Score of the reference per subset, and its difference from the best competitor.

    Nodes of one level have equally many modalities; a line adds one. None beyond five modalities or without runs.
    """
    names = _modalities(results, setting)
    reference = results.study.reference
    ours = subset_means(results, setting, reference)
    if not names or len(names) > MOST or not any(v is not None for v in ours.values()):
        return None
    other = best_other(results, setting, reference, results.study.metric)
    theirs = subset_means(results, setting, other) if other else {}
    gain = {s: a - b for s, a in ours.items() if a is not None and (b := theirs.get(s)) is not None}
    widest = max(len(list(combinations(names, size))) for size in range(1, len(names) + 1))
    height = 0.95 + 0.72 * len(names)
    figure = canvas(min(WIDE, max(2 * (1.2 + 0.85 * widest), 5.2)), height)
    known = [value for value in ours.values() if value is not None]
    norm = Normalize(min(known), max(max(known), min(known) + 1e-6))
    panels = 2 if gain else 1
    left = figure.add_subplot(1, panels, 1)
    _nodes(left, names, ours, matplotlib.colormaps["cividis"], norm, signed=False)
    left.set_title(f"{short(reference, 24)}: score of each subset", weight="bold")
    if gain:
        top = max(max(abs(value) for value in gain.values()), 1e-6)
        right = figure.add_subplot(1, 2, 2)
        _nodes(right, names, gain, matplotlib.colormaps["PuOr_r"], Normalize(-top, top), signed=True)
        right.set_title(f"minus {short(str(other), 24)}", weight="bold")
    if len(names) > 3:
        figure.legend(
            handles=_legend(names),
            loc="outside lower left",
            ncols=len(names),
            title="modalities of a node",
            alignment="left",
        )
    return figure


def subset_means(results: Results, setting: str, method: str) -> dict[str, float | None]:
    """Mean score over seeds of each subset; None where no seed has one."""
    tables = [
        record["metrics"]["per_subset"] for place, record in results.records.items() if place[:2] == (setting, method)
    ]
    found: dict[str, float | None] = {}
    for subset in tables[0] if tables else ():
        known = [value for table in tables if (value := table.get(subset)) is not None]
        found[subset] = statistics.fmean(known) if known else None
    return found


def _modalities(results: Results, setting: str) -> list[str]:
    return next((list(r["modalities"]) for place, r in results.records.items() if place[0] == setting), [])


def _places(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Subset -> (x, level): each level is spread around 0."""
    found = {}
    for size in range(1, len(names) + 1):
        level = list(combinations(names, size))
        for at, members in enumerate(level):
            found["+".join(members)] = (at - (len(level) - 1) / 2, float(size))
    return found


def _nodes(
    axes: Axes,
    names: Sequence[str],
    values: Mapping[str, float | None],
    tones: Colormap,
    norm: Normalize,
    *,
    signed: bool,
) -> None:
    places = _places(names)
    for subset, (x, y) in places.items():
        for name in names:
            if name not in subset.split("+"):
                larger = "+".join(n for n in names if n in subset.split("+") or n == name)
                axes.plot([x, places[larger][0]], [y, places[larger][1]], color=FAINT, linewidth=0.9, zorder=1)
    crowded = len(names) > 3
    for subset, (x, y) in places.items():
        value = values.get(subset)
        face = to_rgba(MISSING) if value is None else tones(norm(value))
        text = "–" if value is None else f"{100 * value:+.1f}" if signed else f"{value:.3f}".removeprefix("0")
        axes.scatter([x], [y], s=560 if not crowded else 380, color=[face], edgecolors=INK, linewidths=0.7, zorder=2)
        ink = ink_on(face)
        axes.text(x, y, text, ha="center", va="center", size=7 if not crowded else 6, color=ink, zorder=3)
        if crowded:
            _members(axes, names, subset, x, y)
        else:
            label = axes.annotate(
                short(subset.replace("+", " + "), 26), (x, y), (0, -17), textcoords="offset points",
                ha="center", va="top", size=6.5, zorder=3,
            )  # fmt: skip
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    width = max(abs(x) for x, _ in places.values()) + 0.75
    axes.set_xlim(-width, width)
    axes.set_ylim(0.55, len(names) + 0.35)
    axes.set_axis_off()


def _members(axes: Axes, names: Sequence[str], subset: str, x: float, y: float) -> None:
    """A dot per modality under the node, coloured if the subset holds it: names would run into each other."""
    for at, name in enumerate(names):
        place = x + 0.13 * (at - (len(names) - 1) / 2)
        held = name in subset.split("+")
        axes.plot([place], [y - 0.29], "o", color=colour(names, name) if held else FAINT, markersize=3, zorder=3)


def _legend(names: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], color=colour(names, n), marker="o", ls="", markersize=4, label=short(n)) for n in names]
