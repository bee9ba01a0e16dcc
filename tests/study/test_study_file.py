"""A study file and what is refused in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmce._paths import config_root
from fedmce.cli.compose import load_config
from fedmce.cli.study_file import known_studies, read_arguments
from fedmce.config.study_load import study_from_tree
from fedmce.errors import ConfigError
from fedmce.study.plan import Plan

TREE: dict[str, Any] = {
    "name": "made",
    "settings": {"a": ["rounds=2"], "b": {"overrides": [], "x": 0.5}},
    "methods": {"ours": ["method=fedmce"], "plain": ["method=fedavg_owner"], "other": []},
    "reference": "ours",
    "seeds": [0, 1],
}


def refusal(**changes: Any) -> str:
    with pytest.raises(ConfigError) as error:
        study_from_tree(TREE | changes, "study")
    assert error.value.exit_code == 2
    return str(error.value)


def test_a_list_is_short_for_overrides() -> None:
    study = study_from_tree(TREE)
    assert study.settings["a"].overrides == ("rounds=2",)
    assert study.methods["ours"].overrides == ("method=fedmce",)


def test_the_reference_is_compared_with_each_other_method_and_contrasts_come_once() -> None:
    study = study_from_tree(TREE | {"contrasts": [["ours", "plain"], ["plain", "other"]]})
    assert study.pairs() == (("ours", "plain"), ("ours", "other"), ("plain", "other"))


def test_every_problem_is_in_one_message() -> None:
    text = refusal(seeds=[0, -1], settings={"a": {"over": []}}, metric=3, surprise=1)
    assert text.startswith("study: 4 problems")
    for part in ("seeds: given [0, -1]", "settings.a.over: unknown key", "metric: given 3", "surprise: unknown key"):
        assert part in text
    assert "did you mean 'settings.a.overrides'" in text


def test_names_that_no_method_has_are_refused_with_the_nearest() -> None:
    text = refusal(reference="our", contrasts=[["plain", "othr"]], bars=[{"pair": ["ours", "plane"], "above": 0}])
    assert "reference: unknown method 'our'; known are ours, plain, other. did you mean 'ours'?" in text
    assert "contrasts.0: unknown method 'othr'" in text
    assert "bars.0.pair: unknown method 'plane'" in text


def test_a_bar_needs_settings_and_something_to_reach() -> None:
    text = refusal(bars=[{"pair": ["ours", "best"], "settings": "z*"}, {"pair": ["best", "ours"], "above": 0}])
    assert "bars.0.settings: given 'z*'" in text
    assert "bars.0: nothing to reach" in text
    assert "bars.1.pair: given best first" in text


def test_tuning_seeds_are_no_compared_seeds() -> None:
    assert "tuning.seeds: given [1]" in refusal(tuning={"seeds": [1, 9], "grid": {"training.lr": [0.1]}})
    assert "seeds: given [0, 0]; needed each seed once" in refusal(seeds=[0, 0])


def test_no_method_tries_more_values_than_the_others() -> None:
    tuning = {"grid": {"training.lr": [0.1, 0.2]}}
    wide = {"grid": {"training.lr": [0.1, 0.2, 0.3]}}
    assert "methods.other.grid: 3 combinations; needed at most 2" in refusal(
        tuning=tuning, methods=TREE["methods"] | {"other": wide}
    )
    assert "methods.other.grid: given without tuning" in refusal(methods=TREE["methods"] | {"other": wide})
    narrow = {"grid": {"training.lr": [0.1], "objective.dropout": [0.3, 0.5]}}
    study_from_tree(TREE | {"tuning": tuning, "methods": TREE["methods"] | {"other": narrow}})


@pytest.mark.parametrize("text", ["seed=3", "name=x", "out=somewhere"])
def test_what_the_study_sets_itself_is_refused_everywhere(text: str) -> None:
    assert f"common: given {text}" in refusal(common=[text])
    assert f"methods.plain: given {text}" in refusal(methods=TREE["methods"] | {"plain": [text]})
    with pytest.raises(ConfigError, match="the study sets"):
        Plan(study_from_tree(TREE), load_config, [text])


def test_a_key_that_is_tuned_is_not_set_for_all() -> None:
    study = study_from_tree(TREE | {"tuning": {"grid": {"training.lr": [0.1, 0.2]}}})
    with pytest.raises(ConfigError, match=r"tunes training\.lr"):
        Plan(study, load_config, ["training.lr=0.3"])


@pytest.mark.parametrize("name", known_studies())
def test_every_study_that_comes_along_can_be_planned(name: str) -> None:
    study, extra = read_arguments([f"study={name}"])
    assert study.name == name
    assert extra == []
    assert Plan(study, load_config).open_cells({})


def test_quick_is_among_them_and_needs_no_download() -> None:
    study, _ = read_arguments(["study=quick"])
    plan = Plan(study, load_config)
    assert {plan.dataset(setting) for setting in study.settings} == {"av_digits"}
    assert len(study.methods) >= 4
    assert len(study.seeds) >= 3


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((config_root() / "study" / "quick.yaml").read_text())
    assert read_arguments([f"study={path}"])[0].name == "quick"
    path.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="given list; needed a mapping"):
        read_arguments([f"study={path}"])
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="not YAML"):
        read_arguments([f"study={path}"])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_arguments([f"study={tmp_path / 'absent.yaml'}"])


@pytest.mark.parametrize(("arguments", "part"), [([], "given no study"), (["study=a", "study=b"], "given 2 studies")])
def test_one_study_is_needed(arguments: list[str], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        read_arguments(arguments)


def test_a_mistyped_study_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        read_arguments(["study=quik"])


def test_keys_of_the_study_are_set_and_everything_else_goes_to_all_runs() -> None:
    study, extra = read_arguments(["study=quick", "seeds=[5,6]", "rounds=2", "training.lr=0.1", "trace.seed=5"])
    assert study.seeds == (5, 6)
    assert study.trace.seed == 5
    assert extra == ["rounds=2", "training.lr=0.1"]


def test_methods_and_settings_may_be_narrowed_with_what_speaks_of_them() -> None:
    study, _ = read_arguments(["study=quick", "methods=[fedavg_owner,fedavg_zero]", "settings=uneven"])
    assert list(study.methods) == ["fedavg_owner", "fedavg_zero"]
    assert list(study.settings) == ["uneven"]
    assert study.reference == "fedavg_owner"
    assert all(set(bar.pair) <= {*study.methods, "best"} for bar in study.bars)
    with pytest.raises(ConfigError, match="unknown method 'fedmcee'"):
        read_arguments(["study=quick", "methods=[fedmcee]"])
    with pytest.raises(ConfigError, match="the name is in the study file"):
        read_arguments(["study=quick", "name=mine"])


def test_the_study_of_the_how_to_can_be_planned(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "studies-howto.md").read_text()
    (tmp_path / "mine.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    study, extra = read_arguments([f"study={tmp_path / 'mine.yaml'}"])
    plan = Plan(study, load_config, extra)
    assert sum(plan.outlook({}).values()) == 3 * (3 * 3 * 2 + 4 * 10)
    for key in type(study).model_fields:
        assert f"`{key}" in text or f"`{key}`" in text or f"{key}:" in text, f"{key} is not explained"
