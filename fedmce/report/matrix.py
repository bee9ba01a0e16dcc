"""One page: trained models under other mechanisms than their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmce.report.page import environment, write
from fedmce.report.tables import Table
from fedmce.report.words import counted, listed, number, percent, titled

MEASURES = {
    "as_available": "each test row answered with what the mask leaves it",
    "mean_over_sites": "the same per site, mean over sites",
    "deployed": "mean over subsets, weighted by how often the mask leaves each",
}


def draw_matrix(found: dict[str, Any], page: Path) -> Path:
    """Write the page of a matrix.

    Args:
        found: what :func:`fedmce.matrix.tree` returns.
        page: file to write.
    """
    rows = found["rows"]
    labels = list(rows[0]["scores"])
    metrics = list(dict.fromkeys(row["scores"][labels[0]]["metric"] for row in rows))
    data = listed(sorted({row["dataset"] for row in rows}))
    text = (
        environment()
        .get_template("matrix.html.jinja")
        .render(
            title=f"{counted(len(rows), 'run')} on {data} under {counted(len(labels), 'mechanism')}",
            metric=titled(listed(metrics).replace("_", " ")),
            scores=[_scores(rows, labels, key, caption) for key, caption in MEASURES.items()],
            patterns=[_patterns(row, labels) for row in _distinct(rows)],
            sites=[_sites(row, labels) for row in rows],
            cautions=list(dict.fromkeys(text for row in rows for text in row["caution"])),
            hashes=_hashes(rows, labels),
        )
    )
    return write(page, text)


def _head(row: dict[str, Any]) -> list[str]:
    return [Path(row["run"]).name, row["dataset"], row["method"], row["trained_under"], str(row["seed"])]


def _scores(rows: list[dict[str, Any]], labels: list[str], measure: str, caption: str) -> Table:
    cells = [[*_head(row), *(number(row["scores"][label][measure]) for label in labels)] for row in rows]
    return Table(titled(caption), ["run", "data set", "method", "trained under", "seed", *labels], cells)


def _distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One run of each set of masks: runs of one data set and seed share theirs."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault(tuple(s["masks_sha256"] for s in row["scores"].values()), row)
    return list(found.values())


def _patterns(row: dict[str, Any], labels: list[str]) -> Table:
    subsets = sorted({s for label in labels for s in row["scores"][label]["shares"]}, key=lambda s: (s.count("+"), s))
    cells = [[s, *(percent(row["scores"][label]["shares"].get(s, 0.0)) for label in labels)] for s in subsets]
    return Table(f"Share of test rows per pattern: run {Path(row['run']).name}", ["pattern", *labels], cells)


def _sites(row: dict[str, Any], labels: list[str]) -> Table:
    names = sorted({site for label in labels for site in row["scores"][label]["per_site"]})
    cells = [[site, *(number(row["scores"][label]["per_site"].get(site)) for label in labels)] for site in names]
    return Table(f"Site by site: {', '.join(_head(row)[:3])}, seed {row['seed']}", ["site", *labels], cells)


def _hashes(rows: list[dict[str, Any]], labels: list[str]) -> list[tuple[str, str]]:
    """Each mask's hash once, with the mechanism and run that it belongs to."""
    return [
        (f"{label}, {row['dataset']}, seed {row['seed']}", row["scores"][label]["masks_sha256"])
        for row in _distinct(rows)
        for label in labels
    ]
