"""The YAML files under configs/ against the schema."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from fedmce._paths import config_root
from fedmce.cli.compose import load_config
from fedmce.cli.groups import groups
from fedmce.config.describe import members
from fedmce.config.load import config_from_json, config_from_yaml
from fedmce.config.schema import (
    AggregationConfig,
    ContributionsConfig,
    EngineConfig,
    ExchangeConfig,
    ModelConfig,
    PrivacyConfig,
    RunConfig,
    TrainingConfig,
)

CHOICES = [(group, choice) for group, choices in groups().items() for choice in choices]
PRESETS = ("method", "protocol")  # groups that set other sections and have none of their own
# Keys with which a choice differs from the schema's defaults.
OWN = {
    ("training", "gentle"): {"lr"},
    ("exchange", "deployed"): {"refuse_copies", "accept_min", "wait_sites_s", "poll_s"},
    ("privacy", "floors"): set(PrivacyConfig.model_fields) - {"noise_sd", "noise_clip", "single_holder", "i_know"},
}


def needs(group: str, choice: str) -> list[str]:
    """What must come along for a choice to be whole."""
    beside = {
        ("aggregation", "whole_model"): ["method=fedavg_zero"],
        ("aggregation", "inverse_entropy"): ["method=flism"],
        ("objective", "late_fusion"): ["model=late"],
        ("objective", "python"): ["objective.call=toy.py:smoothed"],
        ("objective", "shaspec"): ["model=shaspec"],
        ("objective", "ogm_ge"): ["training.optimiser=sgd"],
        ("objective", "harmony"): ["aggregation.rule=harmony"],
        ("objective", "scaffold"): ["training.optimiser=sgd", "training.momentum=0"],
        ("missingness", "pattern_table"): ["missingness.patterns={image:1,image+audio:2}"],
        ("missingness", "file"): ["missingness.path=masks.npz"],
        ("dataset", "folders"): ["dataset.path=sites"],
        ("engine", "deployed"): ["privacy=floors"],
    }
    return [f"{group}={choice}", *beside.get((group, choice), [])]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_validates_and_travels_as_json_and_yaml(group: str, choice: str, tmp_path: Any) -> None:
    config = load_config(needs(group, choice))
    assert config_from_json(config.to_json()) == config
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert config_from_yaml(file) == config
    assert config_from_yaml(file).fingerprint() == config.fingerprint()


@pytest.mark.parametrize("group", ["dataset", "missingness", "objective", "partition", "quality"])
def test_files_of_a_union_are_its_names(group: str) -> None:
    assert set(groups()[group]) == set(members(RunConfig.model_fields[group].annotation))


def test_files_of_the_other_groups_are_the_literals_of_the_schema() -> None:
    assert set(groups()["model"]) == set(get_args(ModelConfig.model_fields["fusion"].annotation))
    assert set(groups()["engine"]) == set(get_args(EngineConfig.model_fields["name"].annotation))
    weightings = set(get_args(AggregationConfig.model_fields["weighting"].annotation))
    assert set(groups()["aggregation"]) == weightings | {"whole_model"}


def test_every_group_is_a_key_of_the_root() -> None:
    sections = {name for name, field in RunConfig.model_fields.items() if (config_root() / name).is_dir()}
    assert set(groups()) == sections


@pytest.mark.parametrize(("group", "choice"), [pair for pair in CHOICES if pair[0] not in PRESETS])
def test_a_file_states_every_key_of_its_section_and_the_schema_s_defaults(group: str, choice: str) -> None:
    tree = yaml.safe_load((config_root() / group / f"{choice}.yaml").read_text())
    tree.pop("defaults", None)
    plain: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "training": TrainingConfig,
        "aggregation": AggregationConfig,
        "contributions": ContributionsConfig,
        "exchange": ExchangeConfig,
        "privacy": PrivacyConfig,
        "engine": EngineConfig,
    }
    section: type[BaseModel] = plain.get(group) or members(RunConfig.model_fields[group].annotation)[choice]
    chosen = {"model": {"fusion"}, "aggregation": {"weighting", "whole_model"}, "engine": {"name"}}
    own = OWN.get((group, choice), chosen.get(group, set()))
    defaults = {name: field.get_default(call_default_factory=True) for name, field in section.model_fields.items()}
    defaults = {name: d.model_dump() if isinstance(d, BaseModel) else d for name, d in defaults.items()}
    defaults = {name: list(d) if isinstance(d, tuple) else d for name, d in defaults.items()}  # YAML knows no tuples
    # What has no default in the schema comes from a file per data set, or from the user.
    elsewhere = {name for name, field in section.model_fields.items() if field.is_required()}
    assert set(tree) == set(defaults) - elsewhere
    assert {key: value for key, value in tree.items() if key not in own} == {
        key: value for key, value in defaults.items() if key not in own | elsewhere
    }


def test_the_root_states_the_schema_s_defaults() -> None:
    tree = yaml.safe_load((config_root() / "config.yaml").read_text())
    tree.pop("defaults")
    assert tree == {name: RunConfig.model_fields[name].default for name in tree}
    assert set(tree) == set(RunConfig.model_fields) - set(groups())
