"""What ``open_run`` takes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedmce.cli.compose import load_config
from fedmce.config.missingness import ImbalancedConfig
from fedmce.errors import ConfigError, DataError
from fedmce.matrix import open_run, score_under
from simulations import engines
from tests.matrix.made import saved_run


def test_a_saved_run_is_scored_like_the_model_in_memory(tmp_path: Path) -> None:
    config = saved_run(tmp_path / "run", ["missingness=imbalanced"])
    run = open_run(tmp_path / "run")
    assert run.config == config
    assert score_under(run, "own", config.missingness) == score_under(
        open_run(tmp_path / "run"), "own", config.missingness
    )
    assert sorted(run.rows) == sorted(run.dataset.sites)


@pytest.mark.parametrize("method", ["fedmce", "fedavg_zero", "mean_imputation", "knn_imputation", "late_fusion"])
def test_every_subset_scores_what_the_run_itself_recorded(tmp_path: Path, method: str) -> None:
    given = ["dataset=av_digits", "dataset.train_rows=30", "sites=[us_f3,gb_m3]", "rounds=1", f"method={method}"]
    config = load_config([*given, "missingness=imbalanced"])
    engines.run(config, tmp_path, lambda row: None)
    recorded = json.loads((tmp_path / "result.json").read_text())["metrics"]
    run = open_run(tmp_path)
    for subset in recorded["per_subset"]:
        hides = {name: 1.0 for name in ("image", "audio") if name not in subset.split("+")}
        scored = score_under(run, subset, ImbalancedConfig(rates=hides))
        assert scored.shares == {subset: 1.0}
        assert scored.as_available == pytest.approx(recorded["per_subset"][subset])
        assert scored.deployed == pytest.approx(recorded["per_subset"][subset])
        by_site = {site: table[subset] for site, table in recorded["per_site"].items()}
        assert scored.per_site == pytest.approx(by_site)


def test_only_sites_that_took_part_are_scored(tmp_path: Path) -> None:
    saved_run(tmp_path / "run", ["sites=[us_f3,gb_m3]", "missingness=natural"])
    assert sorted(open_run(tmp_path / "run").rows) == ["gb_m3", "us_f3"]


@pytest.mark.parametrize("absent", ["model.safetensors", "model.json", "config.yaml"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, absent: str) -> None:
    saved_run(tmp_path / "run")
    (tmp_path / "run" / absent).unlink()
    with pytest.raises((DataError, ConfigError), match="needed"):
        open_run(tmp_path / "run")


def test_a_run_whose_sites_keep_parts_of_their_model_is_refused(tmp_path: Path) -> None:
    saved_run(tmp_path / "run", ["aggregation.private=[head]"])
    with pytest.raises(DataError, match=r"model of its own, .*needed a run with one common model"):
        open_run(tmp_path / "run")


def test_a_model_of_another_data_set_is_refused(tmp_path: Path) -> None:
    saved_run(tmp_path / "run")
    tree = json.loads((tmp_path / "run" / "model.json").read_text())
    tree["network"]["classes"][9] = "nine"
    (tmp_path / "run" / "model.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match="trained for other modalities or classes than av_digits has now"):
        open_run(tmp_path / "run")


def test_completed_tokens_need_a_model_that_completes(tmp_path: Path) -> None:
    saved_run(tmp_path / "run", ["method=fedavg_zero"])
    with pytest.raises(DataError, match="use_completion=full: this model completes no tokens; use off"):
        open_run(tmp_path / "run", use_completion="full")


def test_an_unknown_key_in_the_configuration_of_a_run_is_named(tmp_path: Path) -> None:
    saved_run(tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"colour": "red"}))
    with pytest.raises(ConfigError, match=r"config\.yaml|colour"):
        open_run(tmp_path / "run")
