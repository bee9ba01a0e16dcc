"""Draws the figures and the page of a study."""

from __future__ import annotations

from pathlib import Path

import yaml
from matplotlib.figure import Figure

from fedmce.report.page import write
from fedmce.report.study_bars import bar_figure
from fedmce.report.study_curves import score_curves
from fedmce.report.study_lattice import lattice
from fedmce.report.study_map import by_dataset, difference_map, score_map
from fedmce.report.study_page import render_study
from fedmce.report.study_ranks import rank_diagram
from fedmce.report.study_trace import over_rounds, traced
from fedmce.report.study_upset import patterns, upset
from fedmce.report.style import drawing, save
from fedmce.study.output import Findings
from fedmce.study.results import Results


def draw_study(folder: Path, results: Results, found: Findings) -> Path:
    """Draw ``figures/*.png`` and ``report.html``; figures of an earlier state that no longer hold are removed.

    Args:
        folder: of the study.
        results: what it has found.
        found: comparisons, bars, runs that are no pairs.

    Returns:
        Path of ``report.html``.
    """
    paths: dict[str, Path] = {}
    for old in (folder / "figures").glob("*.png"):
        old.unlink()
    with drawing():
        for name, figure in figures(results, found).items():
            if figure is not None:
                paths[name] = folder / "figures" / f"{name}.png"
                save(figure, paths[name])
    source = yaml.safe_dump(
        results.study.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
    )
    return write(folder / "report.html", render_study(results, found, paths, source))


def figures(results: Results, found: Findings) -> dict[str, Figure | None]:
    """Every figure by its name; None where there is nothing to draw."""
    drawn: dict[str, Figure | None] = {
        "bars": bar_figure(found.bars),
        "scores": score_map(results),
        "differences": difference_map(results, found.comparisons),
        "ranks": rank_diagram(results),
        "curves": score_curves(results),
    }
    for settings in by_dataset(results).values():
        drawn[f"lattice-{settings[0]}"] = lattice(results, settings[0])
    seen: list[tuple[list[str], dict[str, int]]] = []
    for setting in results.study.settings:
        counts = patterns(results, setting)
        if counts not in seen:  # settings may share masks
            seen.append(counts)
            drawn[f"availability-{setting}"] = upset(*counts)
    run = traced(results)
    drawn["over_rounds"] = over_rounds(run[1]) if run else None
    return drawn
