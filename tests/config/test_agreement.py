"""Names in a configuration against a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from fedmce.cli.compose import load_config
from fedmce.config.agreement import check_against
from fedmce.errors import ConfigError


@dataclass(frozen=True)
class Modality:
    name: str


@dataclass(frozen=True)
class Dataset:
    name: str = "toy"
    modalities: tuple[Modality, ...] = (Modality("image"), Modality("audio"))

    @property
    def sites(self) -> dict[str, None]:
        return dict.fromkeys(("north", "south", "west"))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["sites=[west,north]", "missingness.reversed_sites=2", "missingness.holders={audio:[north]}"],
        ["missingness.table={south:{audio:1}}", "model.encoders={audio:mlp}", "missingness.reversed_sites=0"],
        ["missingness=natural"],
        ["missingness=imbalanced", "missingness.in_order=[0.2,0.5]"],
        ["missingness=rare", "missingness.holders=[west]", "missingness.rates={image:0.1}"],
        ["missingness=pattern_table", "missingness.patterns={image:1,image+audio:2,nothing:1}"],
        ["missingness=site_table", "missingness.sets={west:[1]}", "missingness.in_order=[[image],[0,1],[audio]]"],
        ["missingness=mar", "missingness.by=image", "missingness.rates={audio:0.5}"],
        ["missingness=row_share", "missingness.split={audio:2}"],
        ["missingness=two_level", "missingness.sites=0"],
    ],
)
def test_names_that_exist_pass(overrides: list[str]) -> None:
    check_against(load_config(overrides), Dataset())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "missingness.rates.audoi=0.5",
            "missingness.rates: unknown modality 'audoi'; known are image, audio. did you mean 'audio'?",
        ),
        ("missingness.holders={audoi:1}", "missingness.holders: unknown modality 'audoi'"),
        ("missingness.holders={audio:[nort]}", "missingness.holders.audio: unknown site 'nort'"),
        ("missingness.holders={audio:4}", "missingness.holders.audio: given 4; needed 1 to 3"),
        ("missingness.holders={audio:0}", "missingness.holders.audio: given 0; needed 1 to 3"),
        ("missingness.table={nort:{audio:1}}", "missingness.table: unknown site 'nort'"),
        ("missingness.table={north:{audoi:1}}", "missingness.table.north: unknown modality 'audoi'"),
        ("missingness.reversed_sites=4", "missingness.reversed_sites: given 4; needed 0 to 3"),
        ("missingness.reversed_sites=-1", "missingness.reversed_sites: given -1; needed 0 to 3"),
        ("missingness.reversed_sites=[nort]", "did you mean 'north'?"),
        ("quality.modality=audoi", "quality.modality: unknown modality 'audoi'; known are image, audio"),
        (
            "quality.sites=[nort]",
            "quality.sites: unknown site 'nort'; known are north, south, west. did you mean 'north'?",
        ),
        ("model.encoders={audoi:mlp}", "model.encoders: unknown modality 'audoi'"),
        ("sites=[nort]", "sites: unknown site 'nort'; known are north, south, west. did you mean 'north'?"),
        ("sites=[north,north]", "sites: north given more than once"),
        ("sites=[]", "sites: given none"),
    ],
)
def test_a_name_or_count_that_does_not_exist_is_refused_with_the_nearest(override: str, message: str) -> None:
    degraded = ["quality=degraded"] if override.startswith("quality.") else []
    with pytest.raises(ConfigError) as refused:
        check_against(load_config([*degraded, override]), Dataset())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["imbalanced", "in_order=[0.2]"], "in_order: given 1 rates; needed 2, one for each of image, audio"),
        (["pattern_product", "in_order=[0.2,0.1,0]"], "in_order: given 3 rates; needed 2"),
        (
            ["pattern_product", "rates={audoi:0.2}"],
            "rates: unknown modality 'audoi'; known are image, audio. did you mean",
        ),
        (["pattern_table", "patterns={image+audoi:1}"], "patterns.image+audoi: unknown modality 'audoi'"),
        (["pattern_table", "patterns={image+image:1}"], "patterns.image+image: needed each modality once, joined by +"),
        (["pattern_table", "patterns={nothing+image:1}"], "patterns.nothing+image: needed each modality once"),
        (["pattern_table", "patterns={image:0}"], "patterns: given no weight above 0"),
        (["row_share", "split={audoi:1}"], "split: unknown modality 'audoi'"),
        (["row_share", "split={audio:0}"], "split: all weights are 0"),
        (["nested", "modality=audoi"], "modality: unknown modality 'audoi'"),
        (["nested", "by_site={nort:3}"], "by_site: unknown site 'nort'"),
        (["bursty", "rates={audoi:0.1}"], "rates: unknown modality 'audoi'"),
        (["mar", "by=imag"], "by: unknown modality 'imag'; known are image, audio. did you mean 'image'?"),
        (["mnar", "rates={audoi:0.1}"], "rates: unknown modality 'audoi'"),
        (["rare", "modality=audoi"], "modality: unknown modality 'audoi'"),
        (["rare", "holders=4"], "holders: given 4; needed 1 to 3"),
        (["rare", "holders=[nort]"], "holders: unknown site 'nort'"),
        (["site_bernoulli", "rates={audoi:0.1}"], "rates: unknown modality 'audoi'"),
        (["site_fraction", "most=2"], "most: given 2; needed 0 to 1, so that a site keeps a modality"),
        (["site_table", "sets={nort:[image]}"], "sets: unknown site 'nort'"),
        (["site_table", "sets={north:[audoi]}"], "sets.north: unknown modality 'audoi'"),
        (["site_table", "in_order=[[image],[2]]"], "in_order[1]: given 2; needed 0 to 1, or a name"),
        (["two_level", "sites=[nort]"], "sites: unknown site 'nort'"),
    ],
)
def test_every_mechanism_is_held_to_the_names_of_the_data(overrides: list[str], message: str) -> None:
    mechanism, key = overrides
    with pytest.raises(ConfigError) as refused:
        check_against(load_config([f"missingness={mechanism}", f"missingness.{key}"]), Dataset())
    assert f"missingness.{message}" in str(refused.value)


def test_patterns_of_many_modalities_are_not_listed() -> None:
    many = Dataset(modalities=tuple(Modality(f"m{i}") for i in range(13)))
    with pytest.raises(ConfigError, match="every pattern is listed up to 12"):
        check_against(load_config(["missingness=pattern_product", "missingness.rates={m1:0.5}"]), many)


def test_a_site_that_takes_no_part_cannot_be_named() -> None:
    with pytest.raises(ConfigError, match="unknown site 'west'"):
        check_against(load_config(["sites=[north,south]", "missingness.reversed_sites=[west]"]), Dataset())


def test_all_problems_come_in_one_message() -> None:
    with pytest.raises(ConfigError) as refused:
        check_against(load_config(["sites=[nort]", "missingness.rates={audoi:1,imag:1}"]), Dataset())
    assert str(refused.value).splitlines()[0] == "configuration for data set toy: 3 problems"


def test_rates_for_modalities_that_were_cut_into_parts_get_one_line_with_the_remedy() -> None:
    parts = replace(Dataset(), modalities=tuple(Modality(name) for name in ("image_0", "image_1", "audio_0")))
    with pytest.raises(ConfigError) as refused:
        check_against(load_config(["missingness.rates={image:0.5,audio:0.5}"]), parts)
    assert str(refused.value).count("missingness.rates: given for image, audio; needed names out of image_0, ") == 1
    assert "'missingness.rates={image_0: 0.5}' or missingness=natural" in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["objective.subsets=all"], "listed up to 12"),
        (["objective.capability=shapley"], "every subset, which are drawn beyond 6"),
    ],
)
def test_what_needs_every_subset_is_refused_with_many_modalities(overrides: list[str], word: str) -> None:
    many = Dataset(modalities=tuple(Modality(f"m{i}") for i in range(13)))
    config = load_config(["missingness=natural", *overrides])
    with pytest.raises(ConfigError, match=word):
        check_against(config, many)
    check_against(load_config(["missingness=natural"]), many)
