"""Figure: scores along a number such as the missing rate, with bands over seeds."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmce.report.study_looks import Look, looks
from fedmce.report.style import FAINT, NARROW, WIDE, canvas, short
from fedmce.study.curves import Curve, curves
from fedmce.study.results import Results
from fedmce.study.statistics import interval


def score_curves(results: Results) -> Figure | None:
    """One panel per curve: mean over seeds; None without a curve.

    The reference and the two best others have the band of their 95 % interval; more bands hide each other.
    """
    drawn = [curve for curve in curves(results) if any(_has(results, s) for s in curve.settings)]
    if not drawn:
        return None
    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    figure = canvas(NARROW if columns == 1 else WIDE, 3.0 * lines + 0.75)
    styles = looks(results)
    first: Axes | None = None
    for number, curve in enumerate(drawn, start=1):
        axes = figure.add_subplot(lines, columns, number)
        for name, look in reversed(styles.items()):  # the reference on top
            _draw(axes, results, curve, name, look)
        axes.set_title(short(curve.name, 40), weight="bold")
        axes.set_xlabel(short(results.study.x_label, 60))
        axes.set_ylabel(results.study.metric.replace("_", " ") if (number - 1) % columns == 0 else "")
        axes.set_xticks(curve.x, [f"{x:g}" for x in curve.x])
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        first = first or axes
    figure.legend(handles=legend(styles), loc="outside lower left", ncols=4 if columns > 1 else 2)
    return figure


def legend(styles: dict[str, Look]) -> list[Line2D]:
    """Named methods, then one entry for all others."""
    handles = [
        Line2D([], [], color=k.colour, marker=k.marker, ls=k.line, lw=k.width, markersize=4.5, label=short(name, 26))
        for name, k in styles.items()
        if k.named
    ]
    others = [look for look in styles.values() if not look.named]
    if others:
        label = f"{len(others)} other methods" if len(others) > 1 else "one other method"
        handles.append(Line2D([], [], color=others[0].colour, lw=1.0, label=label))
    return handles


def _has(results: Results, setting: str) -> bool:
    return any(place[0] == setting for place in results.records)


def _draw(axes: Axes, results: Results, curve: Curve, name: str, look: Look) -> None:
    points = []
    for x, setting in zip(curve.x, curve.settings, strict=True):
        values = list(results.by_seed(setting, name, results.study.metric).values())
        if values:
            points.append((x, *interval(values)))
    if not points:
        return
    places, mean, low, high = zip(*points, strict=True)
    axes.plot(places, mean, look.line, color=look.colour, marker=look.marker, lw=look.width, markersize=4.5)
    if look.banded:
        axes.fill_between(places, low, high, color=look.colour, alpha=0.13, linewidth=0)
