"""Overrides to a configuration: what works, what wins, and what the messages say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.cli.compose import load_config
from fedmce.cli.groups import complete, groups
from fedmce.config.schema import ImbalancedConfig, NaturalConfig, SitewiseConfig
from fedmce.errors import ConfigError


def problems(*overrides: str) -> list[str]:
    """Messages of a refused configuration, one per problem."""
    with pytest.raises(ConfigError) as refused:
        load_config(overrides)
    first, *rest = str(refused.value).splitlines()
    return [line.removeprefix("  - ") for line in rest] if rest else [first]


def test_the_default_is_fedmce_on_av_digits_with_sitewise_gaps() -> None:
    config = load_config()
    assert (config.method, config.dataset.name, config.rounds, config.objective.name) == (
        "fedmce",
        "av_digits",
        30,
        "mce",
    )
    assert isinstance(config.missingness, SitewiseConfig)
    assert config.missingness.rates == {"image": (0.2, 0.3), "audio": (0.8, 1.0)}
    assert config.missingness.reversed_sites == 1


@pytest.mark.parametrize(
    ("method", "objective", "fusion", "absent", "weighting", "whole"),
    [
        ("fedmce", "mce", "residual", "skip", "contribution", False),
        ("fedavg_zero", "task", "concat", "zero_input", "samples", True),
        ("fedavg_owner", "task", "residual", "skip", "samples", False),
        ("modality_dropout", "modality_dropout", "residual", "skip", "samples", False),
    ],
)
def test_a_method_sets_objective_model_and_aggregation(
    method: str, objective: str, fusion: str, absent: str, weighting: str, whole: bool
) -> None:
    config = load_config([f"method={method}"])
    assert config.method == method
    assert (config.objective.name, config.model.fusion, config.model.absent) == (objective, fusion, absent)
    assert (config.aggregation.weighting, config.aggregation.whole_model) == (weighting, whole)


@pytest.mark.parametrize("order", [1, -1])
def test_an_explicit_choice_wins_over_the_method_in_any_order(order: int) -> None:
    config = load_config(["method=modality_dropout", "objective=task", "model=mean", "aggregation=uniform"][::order])
    assert (config.objective.name, config.model.fusion, config.aggregation.weighting) == ("task", "mean", "uniform")


def test_heart_disease_hides_nothing_unless_asked() -> None:
    assert isinstance(load_config(["dataset=heart_disease"]).missingness, NaturalConfig)
    asked = load_config(["missingness=imbalanced", "dataset=heart_disease", "missingness.rates={imaging:0.5}"])
    assert isinstance(asked.missingness, ImbalancedConfig)
    assert asked.missingness.rates == {"imaging": 0.5}


def test_a_single_rate_of_another_data_set_does_not_bring_rates_of_the_default() -> None:
    config = load_config(["dataset=heart_disease", "missingness=sitewise", "missingness.rates.imaging=0.5"])
    assert isinstance(config.missingness, SitewiseConfig)
    assert config.missingness.rates == {"imaging": 0.5}


def test_mechanisms_without_rates_for_a_data_set_ask_for_them() -> None:
    (message,) = problems("dataset=heart_disease", "missingness=imbalanced")
    assert message.startswith("missingness.rates: nothing given; needed a mapping")


def test_a_mapping_replaces_the_default_and_a_single_key_changes_it() -> None:
    whole = load_config(["missingness.rates={audio:0.9}"]).missingness
    single = load_config(["missingness.rates.audio=0.9"]).missingness
    assert isinstance(whole, SitewiseConfig)
    assert isinstance(single, SitewiseConfig)
    assert whole.rates == {"audio": 0.9}
    assert single.rates == {"image": (0.2, 0.3), "audio": 0.9}


def test_a_removed_key_falls_back_on_the_schema() -> None:
    config = load_config(["~missingness.rates.audio", "~training.lr"])
    assert isinstance(config.missingness, SitewiseConfig)
    assert set(config.missingness.rates) == {"image"}
    assert config.training.lr == load_config().training.lr


def test_what_users_type_arrives() -> None:
    config = load_config(
        [
            "rounds=7",
            "seed=3",
            "data_dir=some/where",
            "name=2024",
            "out=a b/(1)=x",
            "engine=flower",
            "dataset=sound_mnist",
        ]
        + ["dataset.train_rows=150", "sites=[b,a]", "missingness.rates={image:0.2,audio:0.9}", "training.lr=0.01"]
        + ["model.fusion=concat", "training.device=cuda:0", "missingness.table={1:{audio:1}}"]
    )
    assert (config.rounds, config.seed, config.data_dir, config.name) == (7, 3, "some/where", "2024")
    assert (config.out, config.engine.name, config.sites) == ("a b/(1)=x", "flower", ("b", "a"))
    assert config.dataset.model_dump()["train_rows"] == 150
    assert isinstance(config.missingness, SitewiseConfig)
    assert config.missingness.table == {"1": {"audio": 1.0}}
    assert (config.model.fusion, config.training.device, config.training.lr) == ("concat", "cuda:0", 0.01)


def test_the_last_of_two_overrides_wins() -> None:
    config = load_config(["rounds=1", "engine=flower", "rounds=2", "engine=inprocess"])
    assert (config.rounds, config.engine.name) == (2, "inprocess")


def test_plus_signs_change_nothing() -> None:
    assert load_config(["+rounds=2", "++training.lr=0.1"]) == load_config(["rounds=2", "training.lr=0.1"])


def test_the_name_of_a_section_is_its_choice() -> None:
    assert load_config(["dataset.name=sound_mnist"]) == load_config(["dataset=sound_mnist"])


def test_references_are_resolved_and_unknown_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMCE_TEST_PLACE", "/somewhere")
    assert load_config(["out=${oc.env:FEDMCE_TEST_PLACE}/x"]).out == "/somewhere/x"
    (message,) = problems("name=${nothing}")
    assert "nothing" in message


def test_home_is_expanded_in_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_config(["data_dir=~/data"]).data_dir == f"{tmp_path}{os.sep}data"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds=abc", "rounds: given 'abc'; needed a whole number from 1 to 100000"),
        (
            "dataset=av_digit",
            "dataset: unknown choice 'av_digit'; known are av_digits, folders, hapt, heart_disease, leaves100, sound_mnist. did you mean 'av_digits'?",
        ),
        ("rounds=0", "rounds: given 0; needed a whole number from 1 to 100000"),
        ("training.lr=nan", "training.lr: given nan; needed a number greater than 0 and at most 10"),
        (
            "model.fusion=conct",
            "needed one of additive, concat, late, mean, residual, shaspec, transformer. did you mean 'concat'?",
        ),
        ("missingness.rates.audio=[0.9,0.8]", "missingness.rates.audio: given [0.9, 0.8]; needed [low, high]"),
        ("missingness.rates=0.5", "missingness.rates: given 0.5; needed a mapping"),
        ("training.lrr=1", "training.lrr: unknown key; known are local_epochs"),
        ("training.lrr=1", "did you mean 'training.lr'?"),
        ("metod=fedmce", "did you mean 'method'?"),
        ("objective.rate=0.5", "it belongs to objective=modality_dropout"),
        ("sites=[a", "sites=[a: cannot be read; needed key=value"),
        ("sites=a,b", "write a list as 'key=[a,b]'"),
        ("rounds", "rounds: given no value; needed key=value"),
        ("=3", "given no value"),
        ("training..lr=1", "given an empty name"),
        ("dataset@x=av_digits", "packages (@) are not supported"),
        ("rounds.x=1", "rounds is one value"),
        ("~training.lrr", "unknown key 'lrr'"),
        ("model={fusion:mean}", "to set one value write model.key=value"),
        ("hydra.run.dir=x", "hydra: unknown key"),
    ],
)
def test_a_problem_names_key_given_needed_and_remedy(override: str, message: str) -> None:
    (only,) = problems(override)
    assert message in only


@pytest.mark.parametrize("given", ["1.7", "[0.8,1.7]", "[0.8]", "[]", "abc", "null", "{a:1}"])
def test_a_bad_rate_is_one_problem_and_shows_no_branch_of_the_schema(given: str) -> None:
    (only,) = problems(f"missingness.rates.audio={given}")
    assert only.startswith("missingness.rates.audio: given ")
    assert "a number from 0 to 1" in only
    assert "sitewise" not in only
    assert "tuple" not in only


def test_all_problems_come_in_one_message() -> None:
    found = problems("rounds=abc", "dataset=av_digit", "training.lrr=1", "sites=[a", "missingness.rates.audio=1.7")
    assert len(found) == 5
    assert {text.split(":")[0] for text in found} == {
        "rounds",
        "dataset",
        "training.lrr",
        "sites=[a",
        "missingness.rates.audio",
    }


def test_an_unknown_choice_is_not_followed_by_what_it_would_explain() -> None:
    found = problems("dataset=sound_mnis", "dataset.pairs=smil", "method=fedavg_zer", "model.absent=zero_input")
    assert [text.split(":")[0] for text in found] == ["dataset", "method"]


def test_sections_that_disagree_are_refused() -> None:
    (message,) = problems("method=fedavg_zero", "objective=mce")
    assert "model.absent=zero_input" in message


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=30)
    | st.tuples(st.sampled_from(["rounds", "sites", "model", "out", "missingness.rates"]), st.text()).map("=".join)
)
def test_any_text_gives_a_configuration_or_a_config_error(text: str) -> None:
    try:
        load_config([text])
    except ConfigError as refused:
        assert "Traceback" not in str(refused)


def test_completion_offers_groups_then_choices() -> None:
    assert complete("dat") == ["dataset="]
    assert complete("engine=") == [f"engine={choice}" for choice in groups()["engine"]]


def test_the_home_of_nobody_is_a_problem_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="the home of no user here"):
        load_config(["out=~nobody-of-this-name/runs"])
