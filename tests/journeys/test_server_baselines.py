"""Whole runs of server-side and personal baselines: same bits in any order of sites, a result, a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.report import draw
from tests.journeys.runs import model_bytes, record, result, rounds, run, without_clock
from tests.server.made import SITES, made_config

PERSONAL = ("blossom", "fedbn", "fedmsplit", "finetuned", "harmony", "local_only", "private_fusion", "private_head")
COMMON = ("centralised", "fedadam", "fedavg_batchnorm", "fedavgm", "fedyogi", "scaffold", "shapley_weights_only")
PLAIN = {"training__optimiser": "sgd", "training__momentum": 0.0, "training__lr": 0.1}
CHANGES: dict[str, dict[str, Any]] = {"scaffold": PLAIN, "harmony": {"rounds": 3}}


@pytest.mark.parametrize("method", [*PERSONAL, *COMMON])
def test_a_run_ends_with_a_report_and_does_not_depend_on_the_order_of_sites(
    made: FederatedDataset, tmp_path: Path, method: str
) -> None:
    changes = CHANGES.get(method, {})
    one = run(made_config(method, **changes), tmp_path / "one")
    open_workplace.cache_clear()
    other = run(made_config(method, sites=tuple(reversed(SITES)), **changes), tmp_path / "other")
    assert model_bytes(one) == model_bytes(other)
    assert record(one) == record(other)
    found = result(one)
    assert without_clock(found) == without_clock(result(other))
    assert found["refused"] == []
    assert all(score is not None for score in found["metrics"]["per_subset"].values())
    assert not any(row["void"] for row in rounds(one))
    assert (found["contributions"] == {}) == (method in PERSONAL)
    draw(one)
    assert (one / "report.html").stat().st_size > 10_000


def test_personal_runs_are_scored_at_the_sites_that_hold_test_rows(made: FederatedDataset, tmp_path: Path) -> None:
    folder = run(made_config("private_head", evaluate_every=2), tmp_path / "run")
    tests = [r for r in record(folder) if r["event"] == "evaluation" and r["split"] == "test"]
    assert [(row["where"], row["round"]) for row in tests] == [("sites", 2)]
    assert set(result(folder)["metrics"]["per_site"]) == set(SITES)
