"""Mechanisms in which sites differ: who lacks what, and how many."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import (
    RareConfig,
    RowShareConfig,
    SiteBernoulliConfig,
    SiteFractionConfig,
    SiteTableConfig,
    TwoLevelConfig,
)
from fedmce.errors import ConfigError
from fedmce.missingness.chosen_sites import chosen_sites
from fedmce.missingness.deal import deal_to_sites
from fedmce.missingness.site_bernoulli import legacy_lacks
from tests.missingness.views import even, full, held_by_site, hidden_by_site, near
from tests.oracles.worlds import make_dataset, make_site


@pytest.mark.parametrize(
    ("rate", "first", "second", "both", "none"),
    [(0.1, 8, 11, 1, 87), (0.2, 20, 21, 3, 67), (0.3, 27, 32, 6, 52), (0.4, 36, 38, 11, 42), (0.5, 49, 50, 24, 30)],
)
def test_the_seeds_of_fedmultimodal_give_its_realised_table(
    rate: float, first: int, second: int, both: int, none: int
) -> None:
    lacks = np.array([[legacy_lacks(place, column, rate) for column in (0, 1)] for place in range(2, 107)])
    assert lacks.sum(axis=0).tolist() == [first, second]
    assert int(lacks.all(axis=1).sum()) == both
    assert int((~lacks).all(axis=1).sum()) == none


def test_the_mechanism_uses_these_seeds_by_place_among_training_sites() -> None:
    data = even(12, 3, 2)
    config = SiteBernoulliConfig(rate=0.5, seeding="fedmultimodal", on_empty="drop")
    first = {f"s{n:02d}": tuple(not legacy_lacks(n + 2, c, 0.5) for c in (0, 1)) for n in range(12)}
    assert held_by_site(data, config, seed=0) == first == held_by_site(data, config, seed=77)


def test_sites_lack_each_modality_at_its_rate_independently() -> None:
    held = np.array(
        list(held_by_site(even(1500, 1), SiteBernoulliConfig(rate=0.3, rates={"b": 0.7}, on_empty="drop")).values())
    )
    for column, rate in enumerate((0.3, 0.7, 0.3)):
        assert near(float((~held[:, column]).mean()), rate, len(held))
    assert near(float((~held[:, 0] & ~held[:, 1]).mean()), 0.21, len(held))


def test_redrawn_sites_never_hold_nothing_and_rate_one_is_never_held_again() -> None:
    config = SiteBernoulliConfig(rate=0.9, rates={"a": 1.0}, on_empty="redraw")
    held = np.array(list(held_by_site(even(300, 1), config).values()))
    assert held.any(axis=1).all()
    assert not held[:, 0].any()
    assert near(float((held[:, 1] & held[:, 2]).mean()), 0.01 / 0.19, 300)


@given(share=st.sampled_from([0.0, 0.4, 0.6, 0.8, 1.0]), sites=st.integers(1, 12), modalities=st.integers(2, 6))
@settings(max_examples=25)
def test_flism_sites_lose_half_to_all_but_one_and_as_many_sites_as_the_floor(
    share: float, sites: int, modalities: int
) -> None:
    held = np.array(list(held_by_site(even(sites, 2, modalities), SiteFractionConfig(share=share)).values()))
    lost = (~held).sum(axis=1)
    assert (lost > 0).sum() == (sites * round(10 * share)) // 10
    assert all(modalities // 2 <= number < modalities for number in lost if number)


@pytest.mark.parametrize(
    ("modalities", "expected"), [(6, (0.27, 0.40, 0.53)), (10, (0.28, 0.42, 0.56)), (5, (0.24, 0.36, 0.48))]
)
def test_flism_s_expected_shares_of_missing_cells(modalities: int, expected: tuple[float, ...]) -> None:
    # p times the mean of U{M // 2 .. M - 1} over M: M = 6: (3 + 5) / 2 / 6 = 2/3 of .4, .6, .8.
    mean = (modalities // 2 + modalities - 1) / 2 / modalities
    assert tuple(round(p * mean, 2) for p in (0.4, 0.6, 0.8)) == expected


def test_numbers_lost_and_which_are_uniform() -> None:
    from fedmce.missingness import MECHANISMS
    from fedmce.missingness.mechanism import SiteView

    names, lost, which = tuple("abcdef"), Counter[int](), np.zeros(6)
    for seed in range(1500):
        view = SiteView("s", ("s",), names, ("r",), full(1, 6), seed)
        hidden, rates = MECHANISMS["site_fraction"](SiteFractionConfig(share=1.0), view)
        lost[int(hidden.sum())] += 1
        which += hidden[0]
        assert list(rates.values()) == hidden[0].astype(float).tolist()
    assert all(near(lost[number] / 1500, 1 / 3, 1500) for number in (3, 4, 5))
    assert all(near(float(count) / 1500, 4 / 6, 1500) for count in which)


def test_a_table_gives_each_site_its_set_by_name_or_number_and_the_rest_everything() -> None:
    config = SiteTableConfig(sets={"s01": ("c", 0)}, in_order=(("a",), ("b",), (1, 2), ("a", "b", "c")))
    assert held_by_site(even(4), config) == {
        "s00": (True, False, False),
        "s01": (True, False, True),
        "s02": (False, True, True),
        "s03": (True, True, True),
    }
    assert held_by_site(even(2), SiteTableConfig(sets={"s01": ("b",)}))["s00"] == (True, True, True)


def test_places_count_training_sites_only() -> None:
    sites = [make_site("first", full(2), ["test"] * 2), make_site("second", full(2)), make_site("third", full(2))]
    config = SiteTableConfig(in_order=(("a",), ("b",)))
    held = held_by_site(make_dataset(sites), config)
    assert held["second"] == (True, False, False)
    assert held["third"] == (False, True, False)
    with pytest.raises(ConfigError, match="given 2 sets; needed 3, one for each site with training rows"):
        held_by_site(even(3), config)


@given(seed=st.integers(0, 50))
def test_dealt_by_seed_the_sets_are_the_same_in_another_order(seed: int) -> None:
    sets = (("a",), ("b",), ("a", "c"), ("c",))
    plain = held_by_site(even(4, 2), SiteTableConfig(in_order=sets))
    dealt = held_by_site(even(4, 2), SiteTableConfig(in_order=sets, choose="seed"), seed)
    assert Counter(plain.values()) == Counter(dealt.values())


def test_a_block_of_first_rows_loses_the_same_floor_of_the_site_s_modalities() -> None:
    config = SiteTableConfig(sets={"s00": ("a", "b", "c", "d", "e")}, block_rows=0.3, block_modalities=0.5)
    for seed in range(8):
        hidden = hidden_by_site(even(2, 11, 6), config, seed)
        here = hidden["s00"]
        assert here[:, 5].all()
        inside = here[:, :5]
        assert (inside.sum(axis=1) == [2] * 3 + [0] * 8).all()  # floor(.3 * 11) rows, floor(.5 * 5) modalities
        assert (inside[:3] == inside[0]).all()
        assert hidden["s01"][:3].sum() == 9
        assert not hidden["s01"][3:].any()


def test_first_rows_are_those_of_the_lowest_numbers_in_their_ids() -> None:
    hidden = hidden_by_site(even(1, 30), SiteTableConfig(block_rows=0.4, block_modalities=0.4))["s00"]
    assert hidden.any(axis=1).tolist() == [row < 12 for row in range(30)]  # s00-2 comes before s00-10


@pytest.mark.parametrize(
    ("who", "sites", "expected"), [(0.15, 6, 1), (0.15, 10, 2), (0.15, 21, 3), (2, 6, 2), (0.01, 6, 1), (9, 6, 6)]
)
def test_a_rare_modality_is_held_by_so_many_sites_in_every_row(who: Any, sites: int, expected: int) -> None:
    data = even(sites, 20)
    for seed in range(5):
        hidden = hidden_by_site(data, RareConfig(modality="b", holders=who), seed)
        holders = [name for name, h in hidden.items() if not h[:, 1].any()]
        assert len(holders) == expected
        assert all(h[:, 1].all() for name, h in hidden.items() if name not in holders)
        assert all(h[:, [0, 2]].sum(axis=0).tolist() == [4, 4] for h in hidden.values())


def test_holders_may_be_named_or_the_first_and_may_miss_some_rows_too() -> None:
    data = even(4, 10)
    named = hidden_by_site(data, RareConfig(modality="b", holders=("s02",), rates={"b": 0.5, "c": 0.9}))
    assert [int(h[:, 1].sum()) for h in named.values()] == [10, 10, 5, 10]
    assert [int(h[:, 2].sum()) for h in named.values()] == [9] * 4
    first = hidden_by_site(data, RareConfig(modality="b", holders=2, choose="first"))
    assert [bool(h[:, 1].any()) for h in first.values()] == [False, False, True, True]


def test_holders_are_drawn_by_seed_unless_the_first_are_asked_for() -> None:
    data = even(5, 2)
    for choose, kinds in (("seed", 5), ("first", 1)):
        config = RareConfig(modality="b", holders=1, choose=choose)
        seen = {tuple(held[1] for held in held_by_site(data, config, seed).values()) for seed in range(40)}
        assert len(seen) == kinds


def test_every_site_is_as_likely_to_be_chosen() -> None:
    sites = [f"s{n}" for n in range(5)]
    seen = Counter(name for seed in range(2000) for name in chosen_sites(sites, 2, seed, "p"))
    assert all(near(seen[name] / 2000, 0.4, 2000) for name in sites)


def test_two_levels_take_a_floor_of_the_sites_and_of_their_rows() -> None:
    for seed in range(5):
        hidden = hidden_by_site(even(9, 11), TwoLevelConfig(sites=0.5, share=0.3), seed)
        lost = sorted(int(h.sum()) for h in hidden.values())
        assert lost == [0] * 5 + [3] * 4
        assert all(h.sum(axis=1).max() <= 1 for h in hidden.values())


def test_a_share_below_one_site_means_none_where_the_source_floors() -> None:
    for config in (TwoLevelConfig(sites=0.3, share=1.0), SiteFractionConfig(share=0.3)):
        assert not any(h.any() for h in hidden_by_site(even(3, 4), config).values())
        assert sum(h.any() for h in hidden_by_site(even(4, 4), config).values()) == 1


def test_the_modality_that_a_row_loses_is_any_alike() -> None:
    hidden = hidden_by_site(even(1, 3000), TwoLevelConfig(sites=1, share=1.0))["s00"]
    assert (hidden.sum(axis=1) == 1).all()
    assert all(near(float(hidden[:, column].mean()), 1 / 3, 3000) for column in range(3))


@given(sizes=st.lists(st.integers(0, 25), min_size=1, max_size=5).filter(any), percent=st.integers(0, 100))
@settings(max_examples=30)
def test_a_share_of_all_rows_loses_exactly_one_modality_in_the_given_parts(sizes: list[int], percent: int) -> None:
    data = make_dataset([make_site(f"s{n}", full(rows)) for n, rows in enumerate(sizes)])
    config = RowShareConfig(share=percent / 100, split={"a": 1, "c": 3})
    hidden = np.vstack(list(hidden_by_site(data, config).values()))
    lost = sum(sizes) * percent // 100
    assert hidden.sum() == lost
    assert hidden.sum(axis=1).max(initial=0) <= 1
    assert not hidden[:, 1].any()
    assert abs(hidden[:, 2].sum() - 0.75 * lost) < 1


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_what_sites_are_dealt_adds_up_fits_and_does_not_see_their_order(
    sizes: list[int], shares: list[float], seed: int
) -> None:
    total = sum(sizes)
    parts = np.array([int(share * total / len(shares)) for share in shares])
    named = {f"s{n}": size for n, size in enumerate(sizes)}
    dealt = {name: deal_to_sites(parts, named, name, seed, "p") for name in named}
    assert sum(dealt.values()).tolist() == parts.tolist()  # type: ignore[union-attr]
    assert all(dealt[name].sum() <= named[name] for name in named)
    turned = dict(reversed(list(named.items())))
    assert all(np.array_equal(dealt[name], deal_to_sites(parts, turned, name, seed, "p")) for name in named)


def test_rows_that_lose_something_are_spread_as_if_drawn_out_of_all() -> None:
    sizes = {"small": 10, "large": 40}
    here = [int(deal_to_sites(np.array([20]), sizes, "small", seed, "p")[0]) for seed in range(800)]
    # Hypergeometric: mean 20 * 10 / 50 = 4, variance 20 * .2 * .8 * 30 / 49 = 1.96.
    assert abs(np.mean(here) - 4) < 4.5 * np.sqrt(1.96 / 800)
    assert abs(np.var(here) - 1.96) < 0.45
