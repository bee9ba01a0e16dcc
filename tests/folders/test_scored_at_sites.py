"""Rows that only their sites hold give the figures of a simulation on the same folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmce.data import FederatedDataset, Task
from fedmce.record import read_record
from tests.folders.made import elsewhere, exported, on_folders, run_at_sites
from tests.journeys.runs import result, run
from tests.server.made import made_dataset


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Every value of a tree under its path."""
    if isinstance(tree, dict):
        return {k: v for key, part in tree.items() for k, v in leaves(part, f"{path}/{key}").items()}
    if isinstance(tree, list):
        return {k: v for at, part in enumerate(tree) for k, v in leaves(part, f"{path}/{at}").items()}
    return {path: tree}


def two_classes() -> FederatedDataset:
    """The made federation with a binary target and AUC."""
    whole = made_dataset()
    sites = {name: replace(site, targets=np.minimum(site.targets, 1)) for name, site in whole.sites.items()}
    return replace(whole, sites=sites, task=Task(("low", "high"), "auc_within_sites"))


@pytest.mark.parametrize(
    ("method", "dataset", "changes"),
    [
        ("fedmce", made_dataset(), {}),
        ("fedmce", two_classes(), {"objective__use_completion": "mean", "objective__subsets": "all"}),
        ("knn_imputation", made_dataset(), {"evaluate_every": 2}),
    ],
    ids=["three classes", "AUC with completed tokens", "neighbours"],
)
def test_sums_of_the_sites_give_the_scores_that_rows_at_the_server_give(
    method: str, dataset: FederatedDataset, changes: dict[str, Any], tmp_path: Path
) -> None:
    path = exported(tmp_path / "sites", dataset)
    config = on_folders(path, method, **changes)
    held = result(run(config, tmp_path / "held"))
    apart = result(run_at_sites(elsewhere(config), path, tmp_path / "apart"))
    assert held["fingerprint"] == apart["fingerprint"]
    for part in ("metrics", "contributions", "contributions_se", "interactions", "robustness", "weights"):
        here, there = leaves(held[part]), leaves(apart[part])
        # Pairs of rows of different sites would be needed: no sums of single sites tell them.
        here = {key: value for key, value in here.items() if not key.startswith("/secondary/auc_pooled")}
        assert here.keys() == there.keys()
        for key, value in here.items():
            assert there[key] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), key
    if method == "knn_imputation":
        counted = [row["imputation"] for where in ("held", "apart") for row in last_tests(tmp_path / where)]
        assert counted[0] == counted[1]


def last_tests(folder: Path) -> list[dict[str, Any]]:
    tests = [row for row in read_record(folder) if row["event"] == "evaluation" and row["split"] == "test"]
    return tests[-1:]


def test_a_server_without_rows_says_that_sites_scored_and_never_sees_a_row(tmp_path: Path) -> None:
    path = exported(tmp_path / "sites", made_dataset())
    folder = run_at_sites(elsewhere(on_folders(path, rounds=1)), path, tmp_path / "apart")
    (test,) = last_tests(folder)
    assert test["where"] == "sites"
    with np.load(folder / "masks.npz") as masks:
        assert all(array.size == 0 for name, array in masks.items() if name.endswith("available"))
    assert "ash-3" not in (folder / "record.jsonl").read_text()
