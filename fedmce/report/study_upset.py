"""Figure: which combinations of modalities do training rows hold, and how often? (UpSet plot)

After Lex, Gehlenborg, Strobelt, Vuillemot and Pfister, UpSet: Visualization of intersecting sets, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmce.report.style import FAINT, INK, SOFT, canvas, colour, short
from fedmce.study.results import Results

MOST = 24
"""Patterns that are drawn; rarer ones are counted in the last bar."""


def patterns(results: Results, setting: str) -> tuple[list[str], dict[str, int]]:
    """Modalities, and training rows per pattern over all sites, of the first run of the setting.

    Empty where a run has no such counts (beyond eight modalities).
    """
    study = results.study
    order = [study.reference, *study.methods]
    for method in order:
        record = results.records.get((setting, method, study.seeds[0]))
        if record is None or study.methods[method].unpaired_masks:
            continue
        counts: dict[str, int] = {}
        for table in record["patterns"].values():
            for name, rows in (table or {}).items():
                counts[name] = counts.get(name, 0) + int(rows)
        return list(record["modalities"]), {name: rows for name, rows in counts.items() if rows}
    return [], {}


def upset(modalities: Sequence[str], counts: Mapping[str, int]) -> Figure | None:
    """Bars of rows per pattern above a matrix of its members, bars of rows per modality beside it.

    Args:
        modalities: in data set order, rows of the matrix.
        counts: rows per pattern, names joined by ``+``.
    """
    if not counts:
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ranked[:MOST], ranked[MOST:]
    columns = len(shown) + bool(rest)
    total = sum(counts.values())
    figure = canvas(2.5 + max(0.36 * columns, 1.6), 2.05 + 0.24 * len(modalities))
    grid = figure.add_gridspec(
        2, 2, width_ratios=[1.25, max(0.36 * columns, 1.6)], height_ratios=[1.6, 0.24 * len(modalities)]
    )
    bars, matrix, sizes = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1]), figure.add_subplot(grid[1, 0])
    heights = [rows for _, rows in shown] + ([sum(rows for _, rows in rest)] if rest else [])
    bars.bar(range(columns), heights, width=0.62, color=[INK] * len(shown) + [FAINT] * bool(rest))
    for at, rows in enumerate(heights):
        bars.annotate(
            _share(rows / total), (at, rows), (0, 2), textcoords="offset points", ha="center", size=6.5, color=SOFT
        )
    bars.set_ylabel("training rows")
    bars.set_xticks([])
    bars.margins(y=0.14)
    for row, name in enumerate(modalities):
        held = [at for at, (pattern, _) in enumerate(shown) if name in pattern.split("+")]
        matrix.plot(range(columns), [row] * columns, "o", color=FAINT, markersize=5)
        matrix.plot(held, [row] * len(held), "o", color=colour(modalities, name), markersize=6)
    for at, (pattern, _) in enumerate(shown):
        places = [list(modalities).index(part) for part in pattern.split("+") if part in modalities]
        if len(places) > 1:
            matrix.plot([at, at], [min(places), max(places)], color=INK, linewidth=1.2, zorder=1)
    if rest:
        matrix.annotate(
            f"{len(rest)} rarer",
            (columns - 1, len(modalities) - 0.4),
            ha="center",
            va="top",
            size=6.5,
            annotation_clip=False,
        )
    _bare(matrix, len(modalities))
    matrix.set_xlim(-0.6, columns - 0.4)
    bars.set_xlim(-0.6, columns - 0.4)
    held_rows = [sum(rows for pattern, rows in counts.items() if name in pattern.split("+")) for name in modalities]
    sizes.barh(range(len(modalities)), held_rows, height=0.55, color=[colour(modalities, name) for name in modalities])
    sizes.set_ylim(len(modalities) - 0.4, -0.6)
    sizes.set_xlim(total * 1.02, 0)
    sizes.set_yticks([])
    sizes.spines["left"].set_visible(False)
    sizes.set_xticks([0, total], ["0", f"{total:,}"])
    sizes.set_xlabel("rows that hold it")
    matrix.yaxis.tick_left()
    matrix.set_yticks(range(len(modalities)), [short(name, 22) for name in modalities])
    return figure


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def _bare(axes: Axes, rows: int) -> None:
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
