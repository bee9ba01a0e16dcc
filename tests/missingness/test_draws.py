"""Masks are keyed by site and sample: nobody else's rows, order or presence moves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.cli.compose import load_config
from fedmce.config.schema import (
    BurstyConfig,
    ImbalancedConfig,
    MarConfig,
    McarConfig,
    MnarConfig,
    NaturalConfig,
    NestedConfig,
    PatternMixtureConfig,
    PatternProductConfig,
    PatternTableConfig,
    RareConfig,
    RowShareConfig,
    SiteBernoulliConfig,
    SiteFractionConfig,
    SiteTableConfig,
    SitewiseConfig,
    TwoLevelConfig,
)
from fedmce.data import load_dataset
from fedmce.data.dataset import FederatedDataset, SiteRows
from fedmce.missingness import draw_masks, draw_site_mask
from tests.oracles.worlds import Bools, make_dataset, make_site, patterns

SITEWISE = SitewiseConfig(rates={"a": (0.2, 0.5), "b": (0.5, 1.0), "c": 0.3}, reversed_sites=1)
RULES = [
    NaturalConfig(),
    ImbalancedConfig(rates={"a": 0.3, "b": 0.7}),
    ImbalancedConfig(rates={"a": 0.3, "b": 0.7}, draw="independent"),
    SITEWISE,
    McarConfig(rate=0.4, on_empty="redraw"),
    PatternProductConfig(rates={"a": 0.6, "b": 0.5, "c": 0.2}),
    PatternTableConfig(patterns={"a": 1, "a+b": 2, "nothing": 1}, rounding="floor"),
    PatternMixtureConfig(complete=0.4),
    NestedConfig(modality="b", share=0.3),
    NestedConfig(modality="b", per_class=2, order="file"),
    BurstyConfig(rate=0.4, mean_length=3),
    MarConfig(by="a", rate=0.4),
    MarConfig(by=None, rate=0.4),
    MnarConfig(by="value", rate=0.4),
    MnarConfig(by="label", rate=0.4),
    SiteBernoulliConfig(rate=0.5),
    SiteBernoulliConfig(rate=0.5, on_empty="redraw"),
    SiteTableConfig(sets={"north": ("a",), "x": (1, 2)}, block_rows=0.5, block_modalities=0.5),
    RareConfig(modality="b", holders=("north",)),
]
# By definition these draw some of the sites, or some rows of all sites together.
DRAW_SITES = [
    RareConfig(modality="b", holders=0.5),
    SiteFractionConfig(share=0.5),
    TwoLevelConfig(sites=0.5, share=0.6),
    RowShareConfig(share=0.6),
    PatternTableConfig(patterns={"a": 1, "b+c": 1}, scope="all"),
    SiteBernoulliConfig(rate=0.5, seeding="fedmultimodal"),
    SiteTableConfig(in_order=(("a",), ("b",), ("a", "c"), ("c",)), choose="seed"),
]
FEW = settings(max_examples=12)  # of each of some twenty rules
NAMES = ("north", "south", "east", "west")


def name_of(rule: Any) -> str:
    given = {key: value for key, value in rule.model_dump(exclude_defaults=True).items() if key != "rates"}
    return "-".join([rule.name, *(f"{key}={value}" for key, value in given.items())])


def world(rows: int = 20, names: Sequence[str] = NAMES) -> FederatedDataset:
    return make_dataset([make_site(name, np.ones((rows, 3), dtype=bool)) for name in names])


def by_sample(dataset: FederatedDataset, rule: Any, seed: int = 0) -> dict[str, tuple[bool, ...]]:
    """Availability by sample id over all sites."""
    masks = draw_masks(dataset, rule, seed)
    return {
        sample: tuple(row.tolist())
        for mask in masks.sites.values()
        for sample, row in zip(mask.sample_ids, mask.available, strict=True)
    }


def take(site: SiteRows, rows: Sequence[int]) -> SiteRows:
    chosen = list(rows)
    return SiteRows(
        site.name,
        tuple(site.sample_ids[r] for r in chosen),
        site.targets[chosen],
        site.split[chosen],
        {name: values[chosen] for name, values in site.features.items()},
        site.available[chosen],
    )


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_adding_and_removing_sites_moves_no_other_mask(rule: Any) -> None:
    whole = by_sample(world(), rule)
    for count in (1, 2, 3):
        part = by_sample(world(names=NAMES[:count]), rule)
        assert part == {sample: whole[sample] for sample in part}


@pytest.mark.parametrize("rule", [*RULES, *DRAW_SITES], ids=name_of)
@FEW
@given(chosen=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_the_sites_that_take_part_and_their_order_move_no_mask(rule: Any, chosen: list[str]) -> None:
    dataset = world(6)
    whole, part = draw_masks(dataset, rule, 0), draw_masks(dataset, rule, 0, chosen)
    assert set(part.sites) == set(chosen)
    for name in chosen:
        assert np.array_equal(part.sites[name].available, whole.sites[name].available)
        assert np.array_equal(
            draw_site_mask(dataset, dataset.sites[name], rule, 0)[0].available, part.sites[name].available
        )


@pytest.mark.parametrize("rule", [*RULES, *DRAW_SITES[:5]], ids=name_of)
@FEW
@given(order=st.permutations(range(12)))
def test_the_order_of_rows_moves_no_mask(rule: Any, order: list[int]) -> None:
    site = make_site("x", np.ones((12, 3), dtype=bool))
    assert by_sample(make_dataset([site]), rule) == by_sample(make_dataset([take(site, order)]), rule)


@given(kept=st.sets(st.integers(0, 19), min_size=1))
def test_independent_draws_of_a_row_do_not_see_the_other_rows(kept: set[int]) -> None:
    site, rule = make_site("x", np.ones((20, 3), dtype=bool)), RULES[2]
    whole, part = (by_sample(make_dataset([s]), rule) for s in (site, take(site, sorted(kept))))
    assert part == {sample: whole[sample] for sample in part}


def test_rows_of_one_site_do_not_move_the_masks_of_another() -> None:
    first, second = make_site("x", np.ones((9, 3), dtype=bool)), make_site("y", np.ones((30, 3), dtype=bool))
    for rule in RULES:
        long, short = (
            by_sample(make_dataset([first, second]), rule),
            by_sample(make_dataset([first, take(second, [3])]), rule),
        )
        assert all(long[sample] == short[sample] for sample in first.sample_ids)


@pytest.mark.parametrize("rule", [r for r in DRAW_SITES if getattr(r, "seeding", "") != "fedmultimodal"], ids=name_of)
def test_a_draw_of_sites_does_not_depend_on_their_order(rule: Any) -> None:
    assert by_sample(world(), rule) == by_sample(world(names=NAMES[::-1]), rule)


def test_one_site_more_moves_a_choice_of_sites_by_one_at_most() -> None:
    names = [f"s{number}" for number in range(12)]
    for seed in range(20):
        few = {n for n in names[:-1] if masked(world(4, names[:-1]), n, seed)}
        more = {n for n in names if masked(world(4, names), n, seed)}
        assert len(few) == len(more) == 3
        assert len(more - few) <= 1


def masked(dataset: FederatedDataset, name: str, seed: int) -> bool:
    rule = TwoLevelConfig(sites=3, share=1.0)
    mask, _ = draw_site_mask(dataset, dataset.sites[name], rule, seed)
    return not bool(mask.available.all())


def test_other_seeds_and_sites_draw_other_masks() -> None:
    same_ids = [replace(make_site("x", np.ones((40, 3), dtype=bool)), name=name) for name in ("x", "y")]
    rule = ImbalancedConfig(rates={"a": 0.5})
    masks = draw_masks(make_dataset(same_ids), rule, 0)
    assert not np.array_equal(masks.sites["x"].available, masks.sites["y"].available)
    assert draw_masks(make_dataset(same_ids), rule, 1).sha256() != masks.sha256()
    assert draw_masks(make_dataset(same_ids), rule, 0).sha256() == masks.sha256()


@pytest.mark.parametrize("rule", RULES, ids=name_of)
@FEW
@given(available=patterns(3, max_rows=12), seed=st.integers(0, 99))
def test_every_row_keeps_something_that_it_naturally_held(rule: Any, available: Bools, seed: int) -> None:
    (mask,) = draw_masks(make_dataset([make_site("x", available)]), rule, seed).sites.values()
    assert mask.available.any(axis=1).all()
    assert not (mask.available & ~available).any()


@given(available=patterns(3, max_rows=12), seed=st.integers(0, 99))
def test_a_row_that_naturally_holds_nothing_stays_empty(available: Bools, seed: int) -> None:
    available = np.vstack([available, np.zeros((1, 3), dtype=bool)])
    (mask,) = draw_masks(make_dataset([make_site("x", available)]), SITEWISE, seed).sites.values()
    assert not mask.available[-1].any()


def test_test_rows_keep_their_natural_gaps_and_validation_rows_are_masked_by_themselves() -> None:
    splits = ["train"] * 40 + ["validation"] * 20 + ["test"] * 10
    available = np.ones((70, 3), dtype=bool)
    available[-3:, 1] = False
    site = make_site("x", available, splits)
    rule = ImbalancedConfig(rates={"a": 0.5})
    mask = draw_masks(make_dataset([site]), rule, 0).sites["x"].available
    assert np.array_equal(mask[60:], available[60:])
    assert (~mask[:40, 0]).sum() == 20
    assert (~mask[40:60, 0]).sum() == 10


def test_the_default_run_masks_by_voice_whatever_voices_take_part() -> None:
    config = load_config()
    assert (config.dataset.name, config.missingness.name) == ("av_digits", "sitewise")
    dataset = load_dataset(config.dataset, None, config.seed)
    whole = draw_masks(dataset, config.missingness, config.seed)
    names = list(dataset.sites)
    for chosen in (names[::-1], names[1:], names[:1], names[3:5]):
        part = draw_masks(dataset, config.missingness, config.seed, chosen)
        assert all(np.array_equal(part.sites[n].available, whole.sites[n].available) for n in chosen)
    shares = {n: (~m.available)[dataset.sites[n].split == "train"].mean(axis=0) for n, m in whole.sites.items()}
    assert all(whole.rates[n]["audio"] >= 0.8 and shares[n][1] > 0.5 for n in names[1:])
    assert whole.rates[names[0]]["image"] >= 0.8 > 0.3 >= whole.rates[names[0]]["audio"]
    assert shares[names[0]][0] > shares[names[0]][1]
