"""Scores, losses and seconds of a reply. A bad one costs all of them and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedmce.metrics import Cells
from server.gate.expectation import Expectation
from server.gate.stop import Stop
from server.gate.verdicts import shown

MOST_SECONDS = 1e7  # no round takes months; larger claims would only overflow the sums of the record
MOST_LOSSES = 64
SECONDS = ("train_s", "evaluate_s")
_LOSS = re.compile(r"loss\.[A-Za-z0-9_.:+-]{1,60}")
_ELSEWHERE = ("rows.", "value.", "share.", "score.", "test.")  # checked by others, or below


@dataclass(frozen=True)
class Metrics:
    """What a site says of its scores, its losses and its time; what is dropped is empty."""

    cells: Cells = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SECONDS, 0.0))


def read_metrics(report: Mapping[str, Any], expected: Expectation) -> Metrics:
    """Raises :class:`Stop` (``metric``) for an unknown name, a number that is none, or a score that none can be."""
    losses = {key: value for key, value in report.items() if key.startswith("loss.")}
    others = [k for k in report if k not in (*SECONDS, "steps") and not k.startswith(("loss.", *_ELSEWHERE))]
    if others:
        raise Stop("metric", f"{shown(min(others))} is not agreed upon")
    if len(losses) > MOST_LOSSES or not all(map(_LOSS.fullmatch, losses)):
        raise Stop("metric", f"{len(losses)} losses; needed at most {MOST_LOSSES} of plain names")
    return Metrics(
        cells=read_cells(report, "score.", expected.most_scored, expected.modalities),
        losses={key.removeprefix("loss."): _finite(key, value) for key, value in losses.items()},
        seconds={key: _seconds(key, report.get(key, 0.0)) for key in SECONDS},
    )


def read_cells(report: Mapping[str, Any], prefix: str, most: Mapping[str, int], modalities: int) -> Cells:
    """Columns ``<prefix><metric>.subset|total|count``, of metrics and up to counts in ``most``."""
    cells: Cells = {}
    for metric in sorted({key.removeprefix(prefix).split(".")[0] for key in report if key.startswith(prefix)}):
        if metric not in most:
            raise Stop("metric", f"{shown(metric)} is not one of the metrics of this run")
        columns = [report.get(f"{prefix}{metric}.{name}") for name in ("subset", "total", "count")]
        codes, totals, counts = (column if isinstance(column, list) else [] for column in columns)
        if not len(codes) == len(totals) == len(counts) > 0:
            raise Stop("metric", f"{metric}: needed lists subset, total and count of one length")
        cells[metric] = {}
        for code, total, count in zip(codes, totals, counts, strict=True):
            # A count without bound would drown the other sites; an infinite one would end the run.
            if type(code) is not int or not 0 < code < 1 << modalities:
                raise Stop("metric", f"{metric}: {shown(code)} is no subset")
            if not 0 <= total <= count <= most[metric]:
                raise Stop("metric", f"{metric} of subset {code}: {shown(total)} of {shown(count)}")
            cells[metric][code] = [float(total), float(count)]
    return cells


def _finite(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not np.isfinite(value):
        raise Stop("metric", f"{name} is {shown(value)}; a finite number is needed")
    return float(value)


def _seconds(name: str, value: Any) -> float:
    seconds = _finite(name, value)
    if not 0 <= seconds <= MOST_SECONDS:
        raise Stop("metric", f"{name} is {shown(value)}; needed 0 to {MOST_SECONDS:g}")
    return seconds
