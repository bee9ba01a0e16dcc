"""The matrix as JSON and as tidy lines of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fedmce.matrix.score import Scored
from fedmce.matrix.trained import TrainedRun

SCHEMA = "fedmce.matrix/1"
HEAD = ("run", "method", "dataset", "trained_under", "seed", "under", "metric", "measure", "subset", "score", "share")
MEASURES = ("as_available", "mean_over_sites", "deployed")
Row = tuple[TrainedRun, Sequence[Scored]]


def trained_under(run: TrainedRun) -> str:
    """The protocol of the training, or its mechanism where no protocol was named."""
    return run.config.missingness.name if run.config.protocol == "none" else run.config.protocol


def facts(run: TrainedRun) -> dict[str, Any]:
    """What tells the rows of the matrix apart."""
    return {
        "run": str(run.folder),
        "method": run.config.method,
        "dataset": run.dataset.name,
        "trained_under": trained_under(run),
        "seed": run.config.seed,
    }


def tree(rows: Sequence[Row]) -> dict[str, Any]:
    """The whole matrix, ready for JSON: ``schema``, ``rows`` of runs, each with ``scores`` by label."""
    return {
        "schema": SCHEMA,
        "rows": [
            facts(run)
            | {
                "caution": list(run.dataset.caution),
                "provenance": run.dataset.provenance,
                "scores": {scored.under: asdict(scored) for scored in found},
            }
            for run, found in rows
        ],
    }


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """Header and tidy lines: one per run, mechanism and measure, and one per pattern of rows with its share.

    The measure ``pattern`` names its subset; an empty score is not defined.
    """
    made = [list(HEAD)]
    for run, found in rows:
        known = [str(value) for value in facts(run).values()]
        for scored in found:
            start = [*known, scored.under, scored.metric]
            made += [[*start, name, "", _text(getattr(scored, name)), ""] for name in MEASURES]
            made += [
                [*start, "pattern", subset, _text(scored.per_pattern.get(subset)), f"{share:.6f}"]
                for subset, share in scored.shares.items()
            ]
    return made


def _text(score: float | None) -> str:
    return "" if score is None else f"{score:.6f}"
