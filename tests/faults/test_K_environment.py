"""K04 and K14: what a plan may not say between sites, and what the environment says beside the plan."""

from pathlib import Path

import pytest

from fedmce.cli.provision import deployed_plan
from fedmce.errors import ConfigError
from fedmce.kits.environment import HIDDEN, flower_environment


def test_K04_counts_of_single_rows_are_refused_between_sites_unless_meant() -> None:
    with pytest.raises(ConfigError, match=r"privacy\.k_min: given 1") as refused:
        deployed_plan(["privacy=open"])
    assert refused.value.exit_code == 2
    assert deployed_plan(["privacy=open"], i_know=True).privacy.k_min == 1
    assert deployed_plan([]).privacy.k_min == 10


def test_K14_what_flower_reads_from_the_environment_is_listed_sorted() -> None:
    told = {"FLWR_LOG_LEVEL": "DEBUG", "FLWR_HOME": "/x", "PATH": "/bin", "MY_FLWR_X": "1"}
    assert list(flower_environment(told).items()) == [("FLWR_HOME", "/x"), ("FLWR_LOG_LEVEL", "DEBUG")]


@pytest.mark.parametrize(
    "name", ["FLWR_MODEL_API_KEY", "FLWR_SLACK_CLIENT_SECRET", "FLWR_X_TOKEN", "FLWR_RUNTIME_API_KEY"]
)
def test_K14_that_a_secret_is_set_is_told_and_not_the_secret(name: str) -> None:
    assert flower_environment({name: "canary"}) == {name: HIDDEN}


def test_K14_a_password_in_an_address_is_not_told() -> None:
    assert flower_environment({"FLWR_DATABASE": "postgresql://me:canary@host/db"}) == {"FLWR_DATABASE": HIDDEN}


def test_K14_the_process_s_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    assert flower_environment()["FLWR_TELEMETRY_ENABLED"] == "0"


@pytest.mark.slow
def test_K14_the_record_of_a_run_begins_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fedmce.cli.compose import load_config
    from fedmce.record import read_record
    from simulations import engines

    monkeypatch.setenv("FLWR_LOG_LEVEL", "INFO")
    monkeypatch.setenv("FLWR_MODEL_API_KEY", "canary")
    small = ["rounds=1", "dataset.train_rows=20", "training.local_epochs=1", "sites=[us_f3,gb_m3]"]
    engines.run(load_config(small), tmp_path / "run", lambda row: None)
    start = read_record(tmp_path / "run")[0]
    assert start["environment"]["FLWR_LOG_LEVEL"] == "INFO"
    assert "canary" not in (tmp_path / "run" / "record.jsonl").read_text()
