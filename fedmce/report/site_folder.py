"""Figure of one site folder: which combinations of modalities do its training rows hold?"""

from __future__ import annotations

from pathlib import Path

from fedmce.folders.counts import Counts
from fedmce.report.study_upset import upset
from fedmce.report.style import canvas, drawing, save, short


def draw_folder(counts: Counts, site: str, path: Path) -> Path:
    """Draw a folder's training rows per combination of modalities (UpSet plot).

    Args:
        counts: of the folder.
        site: its name.
        path: PNG file, written over.
    """
    rows = {name: by["train"] for name, by in counts.patterns.items() if by["train"]}
    with drawing():
        figure = upset(counts.modalities, rows)
        title = f"{short(site, 40)}: {sum(rows.values()):,} training rows by what they hold"
        if figure is None:
            figure = canvas(4, 1)
            title = f"{short(site, 40)}: no training row"
        figure.suptitle(title, x=0.01, ha="left", size=9)
        save(figure, Path(path))
    return Path(path)
