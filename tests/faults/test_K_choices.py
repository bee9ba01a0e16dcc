"""K01, K02, K03, K12, K13: what a configuration cannot say, refused before anything starts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from fedmce.cli.compose import load_config
from fedmce.config.agreement import check_against
from fedmce.config.load import config_from_yaml
from fedmce.config.study_load import study_tree
from fedmce.config.yaml_text import MOST_VALUES, read_yaml
from fedmce.errors import ConfigError
from tests.config.test_agreement import Dataset


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(overrides)
    assert error.value.exit_code == 2
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("training.lrr=0.1", "training.lr"),
        ("rouds=3", "rounds"),
        ("exchange.accept_mim=2", "exchange.accept_min"),
        ("privacy.kmin=5", "privacy.k_min"),
        ("dataset=av_digit", "av_digits"),
    ],
)
def test_K01_an_unknown_key_or_choice_is_refused_with_the_nearest(override: str, nearest: str) -> None:
    assert nearest in refused(override)


@pytest.mark.parametrize(
    ("override", "needed"),
    [
        ("rounds=three", "needed"),
        ("rounds=0", "needed"),
        ("rounds=2.5", "needed"),
        ("training.lr=-1", "needed"),
        ("training.lr=.nan", "needed"),
        ("training.lr=.inf", "needed"),
        ("exchange.deadline_s=0", "needed"),
        ("exchange.deadline_s=.nan", "needed"),
        ("privacy.k_min=-5", "needed"),
        ("training.lr=[0.1]", "needed"),
    ],
)
def test_K02_a_value_of_the_wrong_type_or_out_of_range_is_refused_by_its_key(override: str, needed: str) -> None:
    said = refused(override)
    assert override.partition("=")[0] in said
    assert needed in said


def test_K03_a_goal_below_the_fewest_replies_and_more_replies_than_sites_are_refused() -> None:
    assert "goal: given 2, accept_min 3" in refused("exchange.goal=2", "exchange.accept_min=3")
    few = load_config(["exchange.accept_min=4"])
    with pytest.raises(ConfigError, match=r"exchange\.accept_min: given 4; needed at most 3") as error:
        check_against(few, Dataset())
    assert error.value.exit_code == 2
    check_against(load_config(["exchange.accept_min=3"]), Dataset())
    with pytest.raises(ConfigError, match=r"exchange\.goal: given 9; needed at most 3"):
        check_against(load_config(["exchange.goal=9"]), Dataset())


@pytest.mark.parametrize("name", ["a/b", "a.b", "größe", "m" * 100, "", "a b", "../a"])
def test_K12_a_modality_s_name_has_plain_letters_alone(name: str) -> None:
    modality = f"{{name: '{name}', kind: tabular, shape: [3], units: ''}}"
    said = refused("dataset=folders", f"dataset.modalities=[{modality}]", "dataset.classes=[a,b]")
    assert "dataset.modalities.0.name: given" in said
    assert "[A-Za-z0-9_]{1,40}" in said


NINE = ",".join("*{}" for _ in range(9))
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{one}: &{one} [{NINE.replace('{}', other)}]\n" for other, one in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "aliases": BOMB,
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "endless": "a: &a [*a]\n",
    "tag": "a: !!python/object/apply:os.system ['touch pwned']\n",
    "no date": "a: 2020-13-45\n",
    "large": "a: " + "x" * (1 << 20) + "\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_K13_a_small_file_that_becomes_a_large_one_is_refused_at_every_door(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BOMBS[name])
    began = time.process_time()
    assert "mine.yaml is not YAML" in refused(f"method={file}")
    for door in (config_from_yaml, study_tree):
        with pytest.raises(ConfigError, match=r"mine\.yaml: not YAML") as error:
            door(file)
        assert error.value.exit_code == 2
    assert time.process_time() - began < 5
    assert not list(tmp_path.glob("pwned*"))


def test_K13_aliases_that_stay_small_are_read() -> None:
    text = "a: &a {lr: 0.1}\nb: *a\nc: [*a, *a]\n"
    assert read_yaml(text) == yaml.safe_load(text)
    rows = "\n".join("- 1" for _ in range(MOST_VALUES - 1))
    assert len(list(read_yaml(rows))) == MOST_VALUES - 1  # type: ignore[call-overload]
    with pytest.raises(yaml.YAMLError, match="aliases"):
        read_yaml("\n".join(["- &a [1, 1]"] + ["- *a"] * (MOST_VALUES // 3)))


@pytest.mark.parametrize("entry", ["../../secret", "/../../secret@_global_", "file:///etc@_global_", "{../x: y}"])
def test_K13_a_preset_includes_nothing_from_outside(entry: str, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("rounds: 77\n")
    file = tmp_path / "mine.yaml"
    file.write_text(f"defaults:\n  - {entry}\n")
    assert "needed files of configs/" in refused(f"method={file}")
    file.write_text("defaults:\n  - fedmce\n")
    assert load_config([f"method={file}"]).objective.name == "mce"
