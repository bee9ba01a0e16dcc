"""Draws the figures and the page of one run folder."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from fedmce.report.availability import availability
from fedmce.report.over_rounds import contributions_and_weights, learning_curve
from fedmce.report.page import render, write
from fedmce.report.reader import read
from fedmce.report.scores import score_per_site_subset, score_per_subset
from fedmce.report.story import Story
from fedmce.report.style import drawing, save

FIGURES = ("availability", "score_per_subset", "score_per_site_subset", "contributions_and_weights", "learning_curve")


def draw(run: Path) -> Path:
    """Draw ``figures/*.png`` and ``report.html`` of one run folder from its records.

    A figure whose numbers the record does not hold (an interrupted run) is not drawn, and an older one of
    that name is removed: no picture outlives its records. Equal records give equal bytes.

    Args:
        run: run folder with ``record.jsonl`` and, where the run came so far, ``result.json`` and ``config.yaml``.

    Returns:
        Path of ``report.html``.

    Raises:
        DataError: the folder holds no readable record.
    """
    story = read(run)
    paths: dict[str, Path] = {}
    with drawing():
        for name, figure in _figures(story).items():
            path = run / "figures" / f"{name}.png"
            if figure is None:
                path.unlink(missing_ok=True)
            else:
                save(figure, path)
                paths[name] = path
    return write(run / "report.html", render(story, paths))


def _figures(story: Story) -> dict[str, Figure | None]:
    scores = story.scores()
    drawn = (
        availability(story),
        score_per_subset(story, scores) if scores else None,
        score_per_site_subset(story, scores) if scores else None,
        contributions_and_weights(story),
        learning_curve(story),
    )
    return dict(zip(FIGURES, drawn, strict=True))
