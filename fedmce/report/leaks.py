"""Picture of the leak probe: rows recovered and members told, by rows of the site and by noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Transform

from fedmce.report.style import INK, MARKERS, PALETTE, SOFT, WIDE, canvas, drawing, save

SHOWN = (("read_out", "rows recovered", 0.15, 0.0), ("membership", "members told (area)", 0.75, 0.5))
COLOURS = (INK, *PALETTE)


def draw_leaks(result: Mapping[str, Any], path: Path) -> None:
    """Draw two panels from what :meth:`fedmce.privacy.probe.ProbeResult.to_json` gives.

    Args:
        result: the figures.
        path: of the PNG.
    """
    floors = result["floors"]
    with drawing():
        figure = canvas(WIDE, 3.4)
        axes = figure.subplots(1, len(SHOWN))
        for axis, (table, name, limit, least) in zip(axes, SHOWN, strict=True):
            _panel(axis, [c for c in result["cells"] if c["table"] == table], name, limit, least)
            for key in ("min_rows", "min_rows_dense"):
                axis.axvline(floors[key], color=SOFT, lw=0.8, ls=":")
                axis.text(
                    floors[key], 1.01, key, color=SOFT, fontsize=6.5, ha="center", va="bottom", transform=_above(axis)
                )
        figure.legend(*axes[0].get_legend_handles_labels(), title="noise", loc="outside right upper")
        save(figure, path)


def _above(axis: Axes) -> Transform:
    """Places in units of the x axis, heights in parts of the panel."""
    return axis.get_xaxis_transform()


def _panel(axis: Axes, cells: list[Mapping[str, Any]], name: str, limit: float, least: float) -> None:
    for place, noise in enumerate(sorted({cell["noise"] for cell in cells})):
        line = sorted((cell["rows"], cell["value"]) for cell in cells if cell["noise"] == noise)
        rows, values = zip(*line, strict=True)
        colour = COLOURS[place % len(COLOURS)]
        marker = MARKERS[place % len(MARKERS)]
        axis.plot(rows, values, label=f"{noise:g}", clip_on=False, color=colour, marker=marker, ms=3.5, lw=1.2)
    axis.axhline(limit, color=SOFT, lw=0.8, ls="--")
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted({cell["rows"] for cell in cells}), [str(n) for n in sorted({c["rows"] for c in cells})])
    axis.minorticks_off()
    axis.set_ylim(least, 1.0)
    axis.set_xlabel("rows of the site")
    axis.set_ylabel(name)
