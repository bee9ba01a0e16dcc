"""Made-up runs that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmce.report import draw
from tests.report.made_run import make_run

SIX = ("vitals", "ecg", "labs", "imaging", "text", "history")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two modalities at six sites, drawn."""
    run = make_run(tmp_path_factory.mktemp("made") / "finished")
    draw(run)
    return run


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """63 subsets at 20 sites, scored by AUC, drawn."""
    sites = tuple(f"hospital_{i:02d}" for i in range(20))
    run = make_run(
        tmp_path_factory.mktemp("made") / "wide", modalities=SIX, sites=sites, rounds=3, metric="auc_within_sites"
    )
    draw(run)
    return run


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted after three rounds, drawn."""
    run = make_run(tmp_path_factory.mktemp("made") / "cut", stop_after=3)
    draw(run)
    return run
