"""Colours, text sizes and the two drawing habits (heat map, subset axis) that all figures share."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image

DPI = 200
NARROW, WIDE = 5.2, 9.6
# Okabe-Ito. Black and greys stay free for whole models and means.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, SOFT, FAINT, MISSING = "#1b1f24", "#5b6470", "#d5d9de", "#ececec"
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "hatch.color": "#a9afb6",
    # A site may be called "$x_1$"; it must be drawn as it is written.
    "text.parse_math": False,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Our own settings on matplotlib's defaults, so that a user's matplotlibrc changes no picture."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(width: float, height: float) -> Figure:
    """A figure of so many inches, drawn by Agg and known to no window system."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the drawing alone (no program name, no date)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    # 256 colours are within 6 % of the drawn ones and a third of the bytes: 63 subsets x 20 sites fit into the page.
    picture = (
        Image.open(drawn).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    picture.save(path, format="PNG", optimize=True, dpi=(DPI, DPI))


def colour(modalities: Sequence[str], name: str) -> str:
    """The modality's colour, the same in every figure of a run."""
    return PALETTE[modalities.index(name) % len(PALETTE)]


def marker(modalities: Sequence[str], name: str) -> str:
    """The modality's marker."""
    return MARKERS[modalities.index(name) % len(MARKERS)]


def ramp(name: str) -> LinearSegmentedColormap:
    """From almost white to the given colour."""
    return LinearSegmentedColormap.from_list("ramp", ["#f6f7f9", name])


def short(name: str, limit: int = 18) -> str:
    """The name, cut with an ellipsis where it would push the drawing aside."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def ink_on(background: tuple[float, float, float, float]) -> str:
    """Black or white, whichever reads better on the background (red, green, blue, alpha in 0..1)."""
    red, green, blue, _ = background
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK


def missing_patch(label: str) -> Patch:
    """Legend entry of what is not there."""
    return Patch(facecolor=MISSING, edgecolor="#a9afb6", hatch="////", linewidth=0, label=label)


def heat_map(
    axes: Axes,
    values: npt.NDArray[np.float64],
    texts: Sequence[Sequence[str]] | None,
    *,
    maps: Sequence[Colormap],
    norm: Normalize,
    text_size: float = 8,
) -> ScalarMappable:
    """Cells with optional text; NaN is a hatched light grey cell.

    Args:
        axes: where to draw; cell (row, column) has its centre at y=row, x=column, row 0 on top.
        values: ``(rows, columns)``, NaN = missing.
        texts: text of each cell, or None.
        maps: one colour map for all columns, or one per column.
        norm: value -> 0..1.
        text_size: points.
    """
    rows, columns = values.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    gap = 0.03 if columns <= 24 else 0.0
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            box = (column - 0.5 + gap, row - 0.5 + gap), 1 - 2 * gap, 1 - 2 * gap
            if math.isnan(value):
                axes.add_patch(Rectangle(*box, facecolor=MISSING, edgecolor="#a9afb6", hatch="////", linewidth=0))
                ink = SOFT
            else:
                face = maps[column % len(maps)](norm(value))
                axes.add_patch(Rectangle(*box, facecolor=face, linewidth=0))
                ink = ink_on(face)
            if texts is not None and texts[row][column]:
                label = axes.text(column, row, texts[row][column], ha="center", va="center", size=text_size, color=ink)
                if math.isnan(value):
                    label.set_bbox({"facecolor": MISSING, "edgecolor": "none", "pad": 1.2})
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return ScalarMappable(norm=norm, cmap=maps[0])
