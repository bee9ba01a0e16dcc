import json

import pytest

from benchmarks.arms import ADAM, ARMS, BY_NAME, QUESTIONS, SETTINGS, Arm
from benchmarks.cells import BY_SETTING, Cell
from fedmce.cli.compose import load_config
from fedmce.config.schema import RunConfig


def _config(arm: Arm, setting: str = "av_digits") -> RunConfig:
    return load_config(Cell(setting, arm.name, 0.008, 0).overrides())


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
@pytest.mark.parametrize("setting", BY_SETTING)
def test_every_arm_is_a_valid_configuration_on_every_data_set(arm: Arm, setting: str) -> None:
    config = _config(arm, setting)
    assert config.dataset.name == setting
    assert (config.training.lr, config.seed, config.rounds, config.engine.name) == (0.008, 0, 30, "inprocess")


def test_no_two_arms_with_runs_of_their_own_are_the_same_configuration() -> None:
    seen = {arm.name: _config(arm).to_json() for arm in ARMS if arm.runs_of is None}
    assert len(set(seen.values())) == len(seen)


def test_an_arm_tuned_as_another_differs_from_it_in_the_scoring_alone() -> None:
    tuned = [arm for arm in ARMS if arm.tuned_as and arm.runs_of is None]
    assert tuned
    for arm in tuned:
        ours, theirs = (json.loads(_config(a).to_json()) for a in (arm, BY_NAME[arm.tuned_as or ""]))
        for tree in (ours, theirs):
            del tree["objective"]["use_completion"]
        assert ours == theirs


def test_an_arm_scored_with_completed_tokens_has_runs_that_complete() -> None:
    for arm in (a for a in ARMS if a.completed):
        objective = _config(BY_NAME[arm.runs_of or arm.name]).objective
        assert objective.name == "mce"
        assert objective.use_completion != "off"


def test_all_adam_arms_share_one_grid() -> None:
    for arm in ARMS:
        assert (arm.grid is ADAM) == (_config(arm).training.optimiser == "adam")


def test_names_of_arms_exist_wherever_they_are_used() -> None:
    assert len(BY_NAME) == len(ARMS)
    for arm in ARMS:
        assert {*arm.against, arm.tuned_as or "reference", arm.runs_of or "reference"} <= set(BY_NAME)
    asked = [name for question in QUESTIONS for name in question.arms]
    assert set(asked) == set(BY_NAME)


def test_the_rarest_subset_of_a_setting_is_the_modality_with_the_highest_missing_rate() -> None:
    for setting in SETTINGS:
        missingness = load_config(setting.overrides).missingness
        assert missingness.name == "sitewise"
        highest = {m: max(r) if isinstance(r, tuple) else r for m, r in missingness.rates.items()}
        assert setting.rare == max(highest, key=lambda m: highest[m])
