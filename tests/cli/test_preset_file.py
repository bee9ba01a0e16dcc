"""``method=FILE``: a preset outside ``configs/`` is composed as those inside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fedmce._paths import config_root
from fedmce.cli.compose import load_config
from fedmce.errors import ConfigError

MINE = """# @package _global_
defaults:
  - override /objective: modality_dropout
  - override /model: mean
  - override /aggregation: uniform
  - _self_

objective:
  rate: 0.7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "My Method.yaml").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_sets_what_a_preset_sets_and_is_called_as_the_file(here: Path) -> None:
    config = load_config(["method=./My Method.yaml", "rounds=3"])
    assert (config.method, config.model.fusion, config.aggregation.weighting) == ("my_method", "mean", "uniform")
    assert config.objective.model_dump() == {"name": "modality_dropout", "rate": 0.7}
    assert load_config([f"method={here / 'My Method.yaml'}", "objective.rate=0.1"]).objective.rate == 0.1


def test_a_copy_of_a_preset_composes_to_the_preset(here: Path) -> None:
    for name in ("fedmce", "redcore", "mce_published"):
        (here / "copy.yaml").write_text((config_root() / "method" / f"{name}.yaml").read_text())
        assert load_config(["method=copy.yaml", "missingness=mcar"]) == load_config(
            [f"method={name}", "missingness=mcar"]
        )


def test_the_header_may_be_left_out(here: Path) -> None:
    (here / "bare.yaml").write_text(MINE.split("\n", 1)[1])
    assert load_config(["method=bare.yaml"]).objective.name == "modality_dropout"


def test_an_edited_file_is_read_again_in_one_process(here: Path) -> None:
    assert load_config(["method=./My Method.yaml"]).objective.rate == 0.7
    (here / "My Method.yaml").write_text(MINE.replace("0.7", "0.2"))
    assert load_config(["method=./My Method.yaml"]).objective.rate == 0.2


def test_protocols_come_from_files_too(here: Path) -> None:
    (here / "gaps.yaml").write_text(
        "defaults:\n  - override /missingness: mcar\n  - _self_\nmissingness:\n  rate: 0.25\n"
    )
    config = load_config(["protocol=gaps.yaml"])
    assert (config.protocol, config.missingness.name, config.missingness.rate) == ("gaps", "mcar", 0.25)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, r"method: ./x.yaml cannot be read .*; needed a YAML file as in configs/method"),
        ("a: [", r"method: ./x.yaml is not YAML .*; needed a YAML file as in configs/method"),
        ("just text", r"method: ./x.yaml holds str; needed a YAML file as in configs/method"),
        ("defaults:\n  - override /objective: tsk\n", r"objective/tsk.*needed files that compose. check .*x.yaml"),
        ("objectiv: {name: task}\n", r"objectiv: unknown key; known are .*did you mean 'objective'"),
        ("method: Not a Name\n", r"method: given 'Not a Name'; needed text that matches"),
    ],
)
def test_a_mistake_is_told_with_what_is_needed(here: Path, text: str | None, told: str) -> None:
    if text is not None:
        (here / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_config(["method=./x.yaml"])


def test_files_serve_presets_only(here: Path) -> None:
    (here / "x.yaml").write_text(yaml.safe_dump({"name": "task"}))
    with pytest.raises(ConfigError, match=r"objective: unknown choice './x.yaml'"):
        load_config(["objective=./x.yaml"])
