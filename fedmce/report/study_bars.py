"""Figure: differences that a study's bars ask for, with their paired intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmce.report.style import FAINT, INK, PALETTE, SOFT, canvas, short
from fedmce.study.bars import Verdict

TONES = {"met": PALETTE[2], "missed": PALETTE[5], "open": SOFT}
SHAPES = {"met": "o", "missed": "X", "open": "s"}


def bar_figure(found: Sequence[Verdict]) -> Figure | None:
    """One line per bar and setting: difference, 95 % interval and the tick that it must reach."""
    single = [verdict for verdict in found if verdict.setting and verdict.difference is not None]
    if not single:
        return None
    names = list(dict.fromkeys(verdict.bar for verdict in single))
    figure = canvas(7.4, 0.95 + 0.24 * len(single) + 0.3 * len(names))
    axes = figure.add_subplot()
    y, ticks, labels = 0.0, [], []
    for name in names:
        axes.annotate(short(name, 70), (0, y), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center", size=8, weight="bold")  # fmt: skip
        y += 1.1
        for verdict in (v for v in single if v.bar == name):
            _line(axes, verdict, y)
            ticks.append(y)
            labels.append(f"{short(verdict.setting, 26)}, against {short(verdict.second, 22)}")
            y += 1.0
        y += 0.3
    axes.set_yticks(ticks, labels)
    axes.set_ylim(y - 0.2, -0.8)
    axes.axvline(0, color=SOFT, linewidth=0.9, zorder=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("first minus second, with the paired 95 % interval")
    handles = [
        Line2D([], [], color=TONES[word], marker=SHAPES[word], ls="-", label=word)
        for word in TONES
        if any(v.word == word for v in single)
    ]
    if any(v.target is not None for v in single):
        handles.append(Line2D([], [], color=INK, marker="|", ls="", markersize=9, label="asked"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
    return figure


def _line(axes: Axes, verdict: Verdict, y: float) -> None:
    shade, shape = TONES[verdict.word], SHAPES[verdict.word]
    if verdict.low is not None and verdict.high is not None:
        axes.plot([verdict.low, verdict.high], [y, y], color=shade, linewidth=1.6, solid_capstyle="butt")
    if verdict.difference is not None:
        axes.plot([verdict.difference], [y], shape, color=shade, markersize=5.5)
    if verdict.target is not None:
        axes.plot([verdict.target], [y], "|", color=INK, markersize=9, markeredgewidth=1.4)
