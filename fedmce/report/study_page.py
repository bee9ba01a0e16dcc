"""Puts sentences, tables and figures of a study into one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedmce.report.page import Picture, environment, picture
from fedmce.report.study_words import alternative, finding, rank_sentence, trace_sentence
from fedmce.report.tables import Table
from fedmce.study.curves import curves
from fedmce.study.grids import Grid, area_grid, bar_grid, choice_grid, comparison_grid, score_grid
from fedmce.study.output import Findings
from fedmce.study.results import Results
from fedmce.study.summary import READING, head, missing, provenance


def render_study(results: Results, found: Findings, figures: Mapping[str, Path], source: str) -> str:
    """The page as text.

    Args:
        results: of the study.
        found: what follows from them.
        figures: name -> PNG, for the figures that could be drawn.
        source: the study as YAML, with everything that was set on the command line.
    """
    study = results.study
    pictures = {name: picture(path, alternative(results, name)) for name, path in figures.items()}
    metrics = [
        (
            metric,
            _table(f"{_plain(metric)}: mean over seeds ± half of the 95 % interval", score_grid(results, metric)),
            _table(f"{_plain(metric)}: paired differences", comparison_grid(found.comparisons, metric)),
        )
        for metric in study.metrics()
    ]
    areas = area_grid(results) if curves(results) else None
    compared = comparison_grid(found.comparisons, f"area of {study.metric}")
    return (
        environment()
        .get_template("study.html.jinja")
        .render(
            title=study.title or study.name,
            name=study.name,
            lead=finding(results, found),
            head=head(results),
            reading=READING,
            tiles=_tiles(results, found),
            problems=missing(results, found.unpaired),
            pictures=pictures,
            availability=_group(pictures, "availability"),
            lattices=_group(pictures, "lattice"),
            bars=_table("What was asked and what was measured", bar_grid(found.bars), prose=True),
            metrics=metrics,
            areas=_table("Area under the curve: mean score over the range of x", areas) if areas else None,
            area_differences=_table("Area under the curve: paired differences", compared),
            choices=_table("Chosen values", choice_grid(results), prose=True) if study.tuning else None,
            ranks=rank_sentence(results),
            trace=trace_sentence(results),
            reference=study.reference,
            provenance=provenance(results),
            source=source,
        )
    )


def _table(caption: str, grid: Grid, *, prose: bool = False) -> Table:
    return Table(caption, grid.head, grid.rows, prose)


def _plain(metric: str) -> str:
    text = metric.replace("_", " ").replace("subset:", "subset ")
    return text[:1].upper() + text[1:]


def _group(pictures: Mapping[str, Picture], kind: str) -> list[tuple[str, Picture]]:
    """Pictures of several settings: (setting, picture)."""
    prefix = f"{kind}-"
    return [(name.removeprefix(prefix), found) for name, found in pictures.items() if name.startswith(prefix)]


def _tiles(results: Results, found: Findings) -> list[tuple[str, str]]:
    study = results.study
    wanted = len(study.settings) * len(study.methods) * len(study.seeds)
    tiles = [
        ("methods", str(len(study.methods))),
        ("settings", str(len(study.settings))),
        ("seeds", str(len(study.seeds))),
    ]
    tiles.append(("compared runs", f"{len(results.records)} of {wanted}"))
    overall = [verdict for verdict in found.bars if not verdict.setting]
    if overall:
        tiles.append(("bars met", f"{sum(v.met is True for v in overall)} of {len(overall)}"))
    return tiles
