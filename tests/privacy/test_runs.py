"""Whole federations under floors: they end, they score, and they say the same with rows at the sites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmce.flower_compat import arrays_of
from fedmce.record import read_record
from fedmce.wire import MODEL, digest
from tests.folders.made import exported
from tests.journeys.runs import result, rounds, run
from tests.privacy.made import (
    COUNTS,
    Dump,
    at_sites,
    floored_config,
    floored_dataset,
    floors,
    make,
    quiet,
    run_recorded,
)
from tests.server.made import made_dataset, use


def notes_of(folder: Path) -> list[tuple[str, str]]:
    """Site and reason of everything in accepted replies that the server did not use."""
    return [
        (site, note["reason"])
        for row in rounds(folder)
        for site, said in row["sites"].items()
        for note in said.get("notes", [])
    ]


def verdicts(folder: Path) -> set[str]:
    return {said["verdict"] for row in rounds(folder) for said in row["sites"].values()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"contributions__source": "heldout"},
        {"contributions__value": "probability"},
        {"contributions__value": "negative_squared_error"},
        {"contributions__index": "banzhaf"},
        {"contributions__estimator": "antithetic"},
        {"contributions__estimator": "kernel", "contributions__source": "heldout"},
        {"objective__use_completion": "mean", "objective__subsets": "all"},
        {"method": "mean_imputation"},
        {"method": "fedavg_zero"},
        {"method": "modality_dropout"},
        {"method": "local_only"},
        {"aggregation__claims__bounded": True},
        {"training__batch_size": 17, "training__local_epochs": 3},
    ],
    ids=lambda changes: "+".join(map(str, changes.values())) or "default",
)
def test_the_server_takes_rounded_numbers_for_what_they_are(tmp_path: Path, changes: dict[str, Any]) -> None:
    """No honest reply is refused, and no claim or score of it is dropped, because it was rounded."""
    dump = run_recorded(floored_config(**changes), floored_dataset(), tmp_path)
    assert dump.error is None
    assert verdicts(dump.folder) == {"accepted"}
    assert {reason for _, reason in notes_of(dump.folder)} <= {"idle"}
    contributions = rounds(dump.folder)[0]["contributions"]
    assert contributions.keys() == {"image", "sound", "blood"}
    assert all(value is not None for value in contributions.values())


def test_a_federation_that_releases_nothing_runs_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites of 24 rows: no component, score or pattern is above the floors but the largest."""
    use(monkeypatch, made_dataset())
    folder = run(floored_config(), tmp_path / "run")
    assert read_record(folder)[-1]["status"] == "finished"
    assert all(not row["weights"] and not row["void"] for row in rounds(folder))
    assert {reason for _, reason in notes_of(folder)} <= {"idle"}, "no strike for whoever holds back"
    whole = result(folder)
    assert whole["metrics"]
    at_home = run_recorded(floored_config(), made_dataset(), tmp_path / "sites")
    assert at_home.error is None, "also where nobody may tell a single score"
    models = [digest(arrays_of(said.down.content.array_records[MODEL])) for said in at_home.grid.of("ash")[1:]]
    assert len(set(models)) == 1
    metrics = result(at_home.folder)["metrics"]
    assert metrics["mean_subset"] is None


def test_one_site_below_the_floors_leaves_the_others_to_learn(tmp_path: Path) -> None:
    small = make("dale", {"train": 24, "validation": 6, "test": 10})
    dump = run_recorded(
        floored_config(rounds=3), made_dataset(*list(floored_dataset().sites.values())[:3], small), tmp_path
    )
    assert dump.error is None
    weights = rounds(dump.folder)[-1]["weights"]
    assert weights["fusion"].keys() == {"ash", "birch", "cedar"}
    scores = [
        row["mean_subset"]
        for row in read_record(dump.folder)
        if row["event"] == "evaluation" and row["split"] == "test"
    ]
    assert scores[-1] > scores[0]


def test_a_simulation_on_the_folders_gives_the_figures_of_the_sites(tmp_path: Path) -> None:
    """With floors sites score their own test rows in both, and round them in both."""
    from fedmce.config.schema import FoldersConfig, RunConfig

    dataset = floored_dataset()
    apart = run_recorded(floored_config(), dataset, tmp_path / "apart")
    path = exported(tmp_path / "sites", dataset)
    section = FoldersConfig.model_validate({"path": str(path)}).model_dump()
    held = run(RunConfig.model_validate(floored_config().model_dump() | {"dataset": section}), tmp_path / "held")
    one, two = result(apart.folder)["metrics"], result(held)["metrics"]
    assert json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert one["mean_subset"] > 0.5
    assert at_sites(floored_config(), path).fingerprint() == result(held)["fingerprint"]


def test_noise_costs_little_and_every_reply_still_passes_the_gate(tmp_path: Path) -> None:
    dump: Dump = run_recorded(floored_config(floors(site_noise="all"), rounds=3), floored_dataset(), tmp_path)
    assert dump.error is None
    assert verdicts(dump.folder) == {"accepted"}
    assert result(dump.folder)["metrics"]["mean_subset"] is not None
    assert COUNTS["train"] == 163


@pytest.mark.parametrize("method", ["fedmce", "fedavg_zero"])
def test_floors_of_one_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Whether floors are looked at or skipped: without a floor above 1 it is the same run."""
    from tests.server.made import made_config

    use(monkeypatch, made_dataset())
    plain = run(made_config(method), tmp_path / "plain")
    asked = run(made_config(method, privacy=quiet_of_ones()), tmp_path / "asked")
    assert (plain / "model.safetensors").read_bytes() == (asked / "model.safetensors").read_bytes()
    assert result(plain)["metrics"] == result(asked)["metrics"]


def quiet_of_ones() -> dict[str, Any]:
    ones = dict.fromkeys(("k_min", "count_step", "min_rows", "min_rows_dense", "min_steps", "min_batch"), 1)
    return quiet(**ones, metric_rows=1, claim_decimals=None, metric_digits=None).model_dump() | {"min_asked": 2}
