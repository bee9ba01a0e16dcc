"""The vertical axis that lists subsets: names for up to three modalities, a matrix of dots beyond."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmce.metrics.sizes import is_many
from fedmce.report.style import FAINT, INK, colour, marker, short

NAMED_UP_TO = 3


def uses_dots(modalities: Sequence[str]) -> bool:
    """Beyond three modalities names such as ``a+b+c+d`` are longer than the picture; sizes have short names again."""
    return len(modalities) > NAMED_UP_TO and not is_many(modalities)


def positions(subsets: Sequence[str], gap: float = 0.7) -> list[float]:
    """Height of each subset, one apart, with a gap between sizes.

    >>> positions(["a", "b", "a+b"])
    [0.0, 1.0, 2.7]
    """
    sizes = [s.count("+") for s in subsets]
    # Subsets come ordered by size, so the distinct sizes so far count the gaps above a row.
    return [i + gap * (len(set(sizes[: i + 1])) - 1) for i in range(len(sizes))]


def with_subset_axis(
    figure: Figure, modalities: Sequence[str], subsets: Sequence[str], heights: Sequence[float], width: float
) -> Axes:
    """Axes whose rows are the subsets, row 0 on top, labelled by names or by a matrix of dots.

    Args:
        figure: empty figure.
        modalities: in data set order.
        subsets: one per row.
        heights: y of each row.
        width: of the figure in inches; the dot matrix takes 0.2 inches per modality of it.
    """
    if not uses_dots(modalities):
        axes = figure.add_subplot()
        axes.set_yticks(heights, [short(s.replace("+", " + "), 34) for s in subsets])
    else:
        dots_width = 0.2 * len(modalities)
        grid = figure.add_gridspec(1, 2, width_ratios=[dots_width, width - dots_width - 0.6], wspace=0.02)
        _dots(figure.add_subplot(grid[0]), modalities, subsets, heights)
        axes = figure.add_subplot(grid[1])
        axes.set_yticks([])
    axes.set_ylim(heights[-1] + 0.6, heights[0] - 0.6)
    return axes


def _dots(axes: Axes, modalities: Sequence[str], subsets: Sequence[str], heights: Sequence[float]) -> None:
    for column, name in enumerate(modalities):
        inside = [y for y, s in zip(heights, subsets, strict=True) if name in s.split("+")]
        outside = [y for y, s in zip(heights, subsets, strict=True) if name not in s.split("+")]
        axes.plot([column] * len(outside), outside, ".", color=FAINT, markersize=3)
        axes.plot(
            [column] * len(inside),
            inside,
            marker(modalities, name),
            color=colour(modalities, name),
            markersize=5,
            ls="",
        )
    for y, subset in zip(heights, subsets, strict=True):
        columns = [modalities.index(part) for part in subset.split("+")]
        axes.plot([min(columns), max(columns)], [y, y], color=INK, linewidth=0.6, zorder=0)
    axes.set_xlim(-0.6, len(modalities) - 0.4)
    axes.set_ylim(heights[-1] + 0.6, heights[0] - 0.6)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(modalities)), [short(m, 14) for m in modalities], rotation=90)
    axes.set_yticks([])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
