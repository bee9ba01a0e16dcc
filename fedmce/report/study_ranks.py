"""Figure: mean ranks of the methods with Nemenyi's critical difference.

After Demšar, Statistical comparisons of classifiers over multiple data sets, 2006, figure 1.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmce.report.style import INK, PALETTE, SOFT, WIDE, canvas, short
from fedmce.study.results import Results
from fedmce.study.standing import ranked
from fedmce.study.statistics import Ranks


def rank_diagram(results: Results) -> Figure | None:
    """Methods on an axis of ranks, 1 on the right; bars join what the test does not tell apart. None below 3 methods."""
    found = ranked(results)
    if found is None or len(found.mean) < 3:
        return None
    names = list(found.mean)
    half = (len(names) + 1) // 2
    groups = cliques(found)
    top = 0.4 + 0.16 * len(groups)
    figure = canvas(min(WIDE, 7.4), 0.5 + 0.22 * (top / 0.22 + half))
    axes = figure.add_subplot()
    axes.set_xlim(len(names) + 0.02, 0.98)
    depth = top + 0.22 * half
    axes.set_ylim(-depth, 0.55)
    axes.set_axis_off()
    _axis(axes, len(names))
    for at, name in enumerate(names):
        right = at < half
        y = -top - 0.22 * (at if right else len(names) - 1 - at)
        end = 0.9 if right else len(names) + 0.1
        shade = PALETTE[0] if name == results.study.reference else INK
        weight = "bold" if name == results.study.reference else "normal"
        axes.plot([found.mean[name], found.mean[name], end], [0, y, y], color=shade, linewidth=0.9, clip_on=False)
        text = f"{short(name, 26)}  {found.mean[name]:.2f}" if right else f"{found.mean[name]:.2f}  {short(name, 26)}"
        axes.annotate(
            text, (end, y), (4 if right else -4, 0), textcoords="offset points", va="center",
            ha="left" if right else "right", size=8, color=shade, weight=weight, annotation_clip=False,
        )  # fmt: skip
    for row, (low, high) in enumerate(groups):
        y = -0.3 - 0.16 * row
        axes.plot([low - 0.04, high + 0.04], [y, y], color=INK, linewidth=3.2, solid_capstyle="butt", clip_on=False)
    _critical(axes, found, len(names))
    return figure


def cliques(found: Ranks) -> list[tuple[float, float]]:
    """Maximal spans of mean ranks no wider than the critical difference, of at least two methods."""
    values = sorted(found.mean.values())
    spans: list[tuple[float, float]] = []
    for at, low in enumerate(values):
        high = max(value for value in values[at:] if value - low <= found.critical + 1e-12)
        joined = sum(low <= value <= high for value in values[at:]) > 1
        if joined and not any(a <= low and high <= b for a, b in spans):
            spans.append((low, high))
    return spans


def _axis(axes: Axes, methods: int) -> None:
    axes.plot([1, methods], [0, 0], color=SOFT, linewidth=1.0)
    for rank in range(1, methods + 1):
        axes.plot([rank, rank], [0, 0.07], color=SOFT, linewidth=1.0)
        axes.text(rank, 0.1, str(rank), ha="center", va="bottom", size=7.5)


def _critical(axes: Axes, found: Ranks, methods: int) -> None:
    width = min(found.critical, methods - 1.0)
    left = methods
    axes.plot([left, left - width], [0.42, 0.42], color=INK, linewidth=1.4)
    for x in (left, left - width):
        axes.plot([x, x], [0.37, 0.47], color=INK, linewidth=1.4)
    note = f"critical difference {found.critical:.2f}" + (" (wider than the axis)" if width < found.critical else "")
    axes.text(left - width / 2, 0.5, note, ha="center", va="bottom", size=7.5)
