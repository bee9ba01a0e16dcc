"""Short federations of the baselines with local objectives from centralised training, and of imputed inputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.workplace import open_workplace
from fedmce.aggregation import weighted_mean
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.models import Statistics, trained_rows
from fedmce.record import read_record
from fedmce.record.model_file import load_model
from tests.journeys.runs import model_bytes, result, rounds, run
from tests.journeys.test_leak import GARBAGE
from tests.oracles.worlds import rows_of
from tests.server.made import MODALITIES, made_config, made_dataset, use, with_garbage

LEARNT = ("shaspec", "redcore", "passion", "xmodal")
FILLED = ("mean_imputation", "knn_imputation")


def ran(patch: pytest.MonkeyPatch, folder: Path, config: RunConfig, garbage: Any = None) -> Path:
    dataset = made_dataset()
    use(patch, dataset if garbage is None else with_garbage(dataset, config, garbage))
    return run(config, folder)


@pytest.mark.parametrize(
    ("method", "whole"), [*((method, False) for method in (*LEARNT, *FILLED)), *((method, True) for method in FILLED)]
)
def test_every_site_is_accepted_and_every_score_is_finite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, whole: bool
) -> None:
    folder = ran(monkeypatch, tmp_path / "run", made_config(method, aggregation__whole_model=whole))
    assert {site["verdict"] for row in rounds(folder) for site in row["sites"].values()} == {"accepted"}
    scores = result(folder)["metrics"]
    assert len(scores["per_subset"]) == 7
    assert all(math.isfinite(value) for value in scores["per_subset"].values())
    assert all(math.isfinite(x) for row in rounds(folder) for s in row["sites"].values() for x in s["losses"].values())


@pytest.mark.parametrize("method", [*LEARNT, *FILLED])
@pytest.mark.parametrize("kind", ["a million", "nan"])
def test_hidden_values_change_no_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, kind: str) -> None:
    config = made_config(method)
    plain = ran(monkeypatch, tmp_path / "plain", config)
    other = ran(monkeypatch, tmp_path / "other", config, GARBAGE[kind])
    assert model_bytes(plain) == model_bytes(other)
    assert result(plain)["metrics"] == result(other)["metrics"]


@pytest.mark.parametrize(
    ("method", "neutral"),
    [
        ("shaspec", {"objective__alignment_weight": 0, "objective__domain_weight": 0}),
        ("redcore", {"objective__head_weight": 0, "objective__completion_weight": 0, "model__absent": "skip"}),
        ("passion", {f"objective__{part}_weight": 0 for part in ("single", "distil", "prototype")}),
    ],
)
def test_neutral_choices_train_what_owner_only_fedavg_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, neutral: dict[str, Any]
) -> None:
    """Three rounds, every component that both have, bit by bit."""
    mine = load_model(ran(monkeypatch, tmp_path / "mine", made_config(method, rounds=3, **neutral)))
    fusion = made_config(method).model.fusion
    base = made_config("fedavg_owner", rounds=3, model__fusion=fusion)
    plain = load_model(ran(monkeypatch, tmp_path / "plain", base))
    states = [model.network.state_dict() for model in (mine, plain)]
    shared = [key for key in states[1] if key in states[0]]
    assert len(shared) == len(states[1])
    assert all(np.array_equal(states[0][key], states[1][key]) for key in shared)


@pytest.mark.parametrize("method", ["redcore", "passion"])
def test_what_a_site_remembers_changes_its_next_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    """The regulator goes on across rounds: at step 0 it stands still, so the models differ."""
    moving = ran(
        monkeypatch, tmp_path / "moving", made_config(method, rounds=3, objective__step=0.5, objective__step_cap=1)
    )
    still = ran(monkeypatch, tmp_path / "still", made_config(method, rounds=3, objective__step=0))
    assert model_bytes(moving) != model_bytes(still)


def test_zero_mean_columns_make_mean_input_and_zero_input_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After standardisation the mean of a column is zero; of a picture with one mean for all pixels it is not."""
    scores = {}
    for absent in ("zero_input", "mean_input"):
        config = made_config("fedavg_zero", model__absent=absent)
        model = load_model(ran(monkeypatch, tmp_path / absent, config))
        scores[absent] = model.statistics
    for m in MODALITIES:
        blank, mean = scores["mean_input"][m.name].blank, scores["mean_input"][m.name].mean
        assert blank is not None
        assert blank.shape == m.shape
        assert np.allclose(blank, mean, atol=1e-5) == (m.pooled_axes == ())
        assert scores["zero_input"][m.name].blank is None


def test_a_loaded_model_fills_with_the_mean_and_refuses_to_guess_neighbours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fedmce.errors import DataError

    rows = {"blood": np.zeros((2, 3), np.float32)}
    mean = load_model(ran(monkeypatch, tmp_path / "mean", made_config("mean_imputation")))
    assert np.allclose(mean.predict(rows).sum(axis=1), 1)
    near = load_model(ran(monkeypatch, tmp_path / "near", made_config("knn_imputation")))
    with pytest.raises(DataError, match="fills it from training rows, which do not travel with a model"):
        near.predict(rows)
    whole = {m.name: np.zeros((2, *m.shape), np.float32) for m in MODALITIES}
    assert np.allclose(near.predict(whole).sum(axis=1), 1)


def test_means_of_entries_travel_only_where_they_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes = {}
    for method in ("fedavg_owner", "mean_imputation"):
        folder = ran(monkeypatch, tmp_path / method, made_config(method))
        sizes[method] = sum(row["bytes_up"] for row in read_record(folder) if row["event"] == "profile")
    assert sizes["mean_imputation"] > sizes["fedavg_owner"]


def test_the_record_counts_what_the_federated_mean_stood_in_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = ran(monkeypatch, tmp_path / "run", made_config("knn_imputation"))
    tests = [row for row in read_record(folder) if row["event"] == "evaluation" and row["split"] == "test"]
    counts = tests[-1]["imputation"]
    other = read_record(ran(monkeypatch, tmp_path / "other", made_config("mean_imputation")))
    assert not any("imputation" in row for row in other)
    assert set(counts) == {m.name for m in MODALITIES}
    # Ten test rows at each site. No training row of birch has sound, none of dale an image: they lend none of it (three
    # subsets lack it), and from it alone no two rows can be compared.
    assert {name: count["federated_mean"] for name, count in counts.items()} == {"sound": 40, "image": 40, "blood": 20}
    assert all(count["federated_mean"] < count["stand_ins"] for count in counts.values())


def test_validation_rows_are_filled_from_training_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, made_dataset())
    place = open_workplace(made_config("knn_imputation", model__neighbours=1).to_json(), "cedar")
    scale = {
        m.name: Statistics(*(np.full(m.statistics_shape, v, np.float32) for v in (0, 1)), np.zeros(m.shape, np.float32))
        for m in MODALITIES
    }
    train, validation = place.on_device(scale)
    lacks = np.flatnonzero(~validation.observed.available[:, 0])
    assert len(lacks)
    filled = validation.batch(np.arange(validation.count))[0].values["image"].numpy()[lacks]
    given = train.observed.values["image"]
    assert all((np.abs(given - sample) < 1e-6).all(axis=(1, 2, 3)).any() for sample in filled)


def test_completion_heads_are_averaged_over_supervised_rows() -> None:
    """(20 * 1 + 60 * 2) / 80: the site whose rows never hold m beside another modality is not in the mean."""
    available = {"x": [3] * 20 + [1] * 9, "y": [2] * 30, "z": [3] * 60}
    rows = {site: trained_rows(rows_of(codes, 2), "ab", ["completion.b"]) for site, codes in available.items()}
    count = {site: found["completion.b"] for site, found in rows.items() if found["completion.b"]}
    assert count == {"x": 20, "z": 60}
    states = {site: {"completion.b/w": np.full(1, v, np.float32)} for site, v in (("x", 1.0), ("z", 2.0))}
    weights = {site: n / sum(count.values()) for site, n in count.items()}
    assert weighted_mean(states, weights)["completion.b/w"].tolist() == [1.75]


@pytest.mark.parametrize(
    ("method", "changes", "told"),
    [
        ("shaspec", {"model__fusion": "concat"}, "objective=shaspec: given model.fusion=concat; needed model=shaspec"),
        ("fedavg_owner", {"model__absent": "completed"}, "needs completion heads that the objective trains by itself"),
        ("fedmce", {"model__absent": "knn_input"}, "model.absent=knn_input is plain FedAvg; objective=mce"),
        ("fedavg_owner", {"aggregation__whole_model": True}, "needs model.absent=zero_input"),
        ("knn_imputation", {"contributions__source": "server"}, "needed received or heldout"),
        ("knn_imputation", {"missingness__away": 0.5}, "missingness.away takes modalities from whole sites"),
    ],
)
def test_what_does_not_go_together_is_refused(method: str, changes: dict[str, Any], told: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=told):
        made_config(method, **changes)
