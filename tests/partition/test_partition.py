"""Partitioners: each row lands exactly once, shares follow the distribution, nothing depends on order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.partition import DirichletConfig, NaturalSitesConfig, PartitionConfig, QuantityConfig
from fedmce.config.schema import HaptConfig
from fedmce.data import FederatedDataset, SiteRows, load_dataset
from fedmce.errors import ConfigError
from fedmce.partition import partitioned
from fedmce.partition.deal import at_least
from fedmce.partition.dirichlet import class_shares
from tests.data_location import DATA_DIR, needs
from tests.oracles.worlds import make_dataset, make_site

SPLITS = ("train", "validation", "test")
DEALT = st.one_of(
    st.builds(
        DirichletConfig,
        site_count=st.none() | st.integers(1, 8),
        least_rows=st.integers(1, 4),
        concentration=st.sampled_from([0.05, 0.3, 100.0]),
    ),
    st.builds(QuantityConfig, site_count=st.none() | st.integers(1, 8), concentration=st.sampled_from([0.1, 100.0])),
)


def site(name: str, train: int, validation: int, test: int, prefix: str = "") -> SiteRows:
    """Rows with gaps; every eleventh lacks the first of two modalities."""
    rows = train + validation + test
    available = np.ones((rows, 2), dtype=bool)
    available[::11, 0] = False
    return make_site(name, available, ["train"] * train + ["validation"] * validation + ["test"] * test, prefix)


def world(same_ids: bool = False) -> FederatedDataset:
    """Three sites that train and one that only tests."""
    sites = [site("c", 60, 12, 9), site("unseen", 0, 0, 7), site("a", 45, 9, 12), site("b", 30, 6, 6)]
    if same_ids:
        sites = [replace(s, sample_ids=tuple(str(row) for row in range(len(s.sample_ids)))) for s in sites]
    return make_dataset(sites)


def contents(dataset: FederatedDataset, sites: Sequence[str] | None = None) -> Counter[tuple[object, ...]]:
    """Every row as what it holds, without name and place."""
    return Counter(
        (
            s.split[row],
            int(s.targets[row]),
            s.available[row].tobytes(),
            *(f[row].tobytes() for f in s.features.values()),
        )
        for name, s in dataset.sites.items()
        if sites is None or name in sites
        for row in range(len(s.sample_ids))
    )


def counts(dataset: FederatedDataset, split: str) -> dict[str, list[int]]:
    return {n: np.bincount(s.targets[s.split == split], minlength=3).tolist() for n, s in dataset.sites.items()}


def same(one: FederatedDataset, other: FederatedDataset) -> bool:
    return one.sites.keys() == other.sites.keys() and all(
        a.sample_ids == b.sample_ids
        and np.array_equal(a.split, b.split)
        and all(np.array_equal(a.features[m], b.features[m], equal_nan=True) for m in a.features)
        for a, b in ((one.sites[name], other.sites[name]) for name in one.sites)
    )


def test_natural_sites_is_the_very_same_object() -> None:
    data = world()
    assert partitioned(data, NaturalSitesConfig(), 0) is data


@given(config=DEALT, seed=st.integers(0, 50), same_ids=st.booleans())
def test_every_row_lands_exactly_once_whole_in_its_split_under_an_id_of_its_own(
    config: PartitionConfig, seed: int, same_ids: bool
) -> None:
    data = world(same_ids)
    dealt = partitioned(data, config, seed)
    assert contents(dealt) == contents(data)
    for split in SPLITS:
        assert np.sum(list(counts(dealt, split).values())) == np.sum(list(counts(data, split).values()))
    if same_ids:
        assert all(len(set(s.sample_ids)) == len(s.sample_ids) for s in dealt.sites.values())
    else:
        ids = [i for s in dealt.sites.values() for i in s.sample_ids]
        assert sorted(ids) == sorted(i for s in data.sites.values() for i in s.sample_ids)


@given(config=DEALT, seed=st.integers(0, 20))
def test_the_order_of_sites_and_rows_in_memory_changes_nothing(config: PartitionConfig, seed: int) -> None:
    data = world()

    def shuffled(s: SiteRows) -> SiteRows:
        o = np.random.default_rng(3).permutation(len(s.sample_ids))
        ids, features = tuple(s.sample_ids[i] for i in o), {m: v[o] for m, v in s.features.items()}
        return replace(
            s, sample_ids=ids, features=features, targets=s.targets[o], split=s.split[o], available=s.available[o]
        )

    turned = replace(data, sites={n: shuffled(s) for n, s in reversed(data.sites.items())})
    one, other = partitioned(data, config, seed), partitioned(turned, config, seed)
    other = replace(other, sites=other.sites | {"unseen": data.sites["unseen"]})
    assert same(
        replace(one, sites=dict(sorted(one.sites.items()))), replace(other, sites=dict(sorted(other.sites.items())))
    )


def test_equal_seeds_deal_alike_and_others_do_not() -> None:
    for config in (DirichletConfig(), QuantityConfig(), DirichletConfig(site_count=4)):
        assert same(partitioned(world(), config, 1), partitioned(world(), config, 1))
        assert not same(partitioned(world(), config, 1), partitioned(world(), config, 2))


@pytest.mark.parametrize("config", [DirichletConfig(), QuantityConfig()])
def test_without_a_count_sites_keep_names_order_and_test_rows(config: PartitionConfig) -> None:
    data, dealt = world(), partitioned(world(), config, 0)
    assert list(dealt.sites) == list(data.sites)
    assert dealt.sites["unseen"] is not None
    for name, old in data.sites.items():
        new = dealt.sites[name]
        assert {i for i, s in zip(new.sample_ids, new.split, strict=True) if s == "test"} == {
            i for i, s in zip(old.sample_ids, old.split, strict=True) if s == "test"
        }
    moved = {i for i, s in zip(dealt.sites["a"].sample_ids, dealt.sites["a"].split, strict=True) if s == "train"}
    assert any(not i.startswith("a-") for i in moved)


@pytest.mark.parametrize("config", [DirichletConfig(site_count=5), QuantityConfig(site_count=5)])
def test_made_sites_share_the_test_rows_of_each_class_evenly_and_unseen_sites_stay(config: PartitionConfig) -> None:
    data = world()
    dealt = partitioned(data, config, 0)
    assert list(dealt.sites) == ["site01", "site02", "site03", "site04", "site05", "unseen"]
    assert dealt.sites["unseen"] is data.sites["unseen"]
    made = np.array([row for name, row in counts(dealt, "test").items() if name != "unseen"])
    assert (np.ptp(made, axis=0) <= 1).all()
    assert np.ptp(made.sum(axis=1)) <= 1


def test_shares_of_a_class_follow_the_distribution_in_mean_and_spread() -> None:
    sites, alpha = 4, 0.3
    drawn = np.concatenate([class_shares(("x", "y", "z"), sites, alpha, seed) for seed in range(1500)])
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / sites, atol=0.015)
    variance = (1 / sites) * (1 - 1 / sites) / (sites * alpha + 1)  # of one entry of a symmetric Dirichlet
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.06)
    first, second = class_shares(("x", "y"), sites, alpha, 0)
    np.testing.assert_array_equal(class_shares(("y", "w"), sites, alpha, 0)[0], second)
    assert not np.allclose(first, second)


def test_training_and_validation_rows_follow_the_same_shares() -> None:
    big = make_dataset([site("a", 900, 900, 3), site("b", 900, 900, 3)])
    config = DirichletConfig(site_count=6, least_rows=1, concentration=0.4)
    dealt, shares = partitioned(big, config, 3), class_shares(big.task.classes, 6, 0.4, 3)
    for split in ("train", "validation"):
        table = np.array(list(counts(dealt, split).values())).T
        assert np.abs(table - 600 * shares).max() <= 2  # one by sampling, one by filling empty sites


def test_a_large_concentration_is_even_and_a_small_one_is_not() -> None:
    def spread(config: PartitionConfig) -> float:
        table = np.array([row for n, row in counts(partitioned(world(), config, 0), "train").items() if n != "unseen"])
        return float(np.ptp(table, axis=0).max())

    assert spread(DirichletConfig(concentration=1e6)) <= 1
    assert spread(QuantityConfig(concentration=1e6)) <= 1
    assert spread(DirichletConfig(concentration=0.1)) > 10
    assert spread(QuantityConfig(concentration=0.1)) > 10


def test_quantity_skew_changes_sizes_but_not_the_shares_of_classes() -> None:
    dealt = partitioned(world(), QuantityConfig(site_count=3, concentration=0.6, least_rows=1), 4)
    table = np.array([row for n, row in counts(dealt, "train").items() if n != "unseen"])
    assert np.ptp(table.sum(axis=1)) > 20
    assert np.ptp(table, axis=1).max() <= 2


@given(home=st.lists(st.integers(0, 4), min_size=15, max_size=60), least=st.integers(1, 3), seed=st.integers(0, 5))
def test_least_rows_are_moved_from_the_largest_sites_and_no_more_than_needed(
    home: list[int], least: int, seed: int
) -> None:
    before = np.array(home)
    after = at_least(before, 5, least, np.random.default_rng(seed))
    old, new = np.bincount(before, minlength=5), np.bincount(after, minlength=5)
    assert new.min() >= least
    assert (new[old < least] == least).all()
    assert (before != after).sum() == np.maximum(least - old, 0).sum()
    assert all(new[s] >= new[old < least].max(initial=0) for s in range(5) if new[s] < old[s])


def test_every_site_gets_its_least_rows_of_training() -> None:
    config = DirichletConfig(site_count=8, least_rows=10, concentration=0.05)
    dealt = partitioned(world(), config, 0)
    assert min(sum(row) for n, row in counts(dealt, "train").items() if n != "unseen") >= 10


def test_no_site_is_without_validation_rows_while_there_are_enough() -> None:
    dealt = partitioned(world(), DirichletConfig(site_count=8, least_rows=1, concentration=0.05), 0)
    assert min(sum(row) for n, row in counts(dealt, "validation").items() if n != "unseen") >= 1


def test_what_the_rows_cannot_give_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"partition.least_rows: given 28 at 5 sites; needed at most 27, .*lower"):
        partitioned(world(), DirichletConfig(site_count=5, least_rows=28), 0)
    tests = make_dataset([site("a", 0, 3, 9)])
    with pytest.raises(ConfigError, match="partition=quantity: no site of made_up has training rows"):
        partitioned(tests, QuantityConfig(), 0)
    taken = make_dataset([site("a", 30, 3, 9), site("site02", 0, 0, 9)])
    with pytest.raises(ConfigError, match=r"site02 of made_up have no training rows and stay; .*site_count=null"):
        partitioned(taken, QuantityConfig(site_count=2), 0)


def test_a_row_that_stays_keeps_an_id_that_other_sites_have_too_and_one_that_moves_names_its_origin() -> None:
    data = world(same_ids=True)
    dealt = partitioned(data, DirichletConfig(), 0)
    for name in ("a", "b", "c"):
        for sample_id in dealt.sites[name].sample_ids:
            origin, colon, row = sample_id.partition(":")
            assert not colon or (origin != name and row in data.sites[origin].sample_ids)
    assert any(":" in i for i in dealt.sites["a"].sample_ids)
    made = partitioned(data, DirichletConfig(site_count=3), 0)
    assert all(":" in i for n, s in made.sites.items() if n != "unseen" for i in s.sample_ids)


def test_provenance_and_caution_tell_that_sites_are_not_what_they_were() -> None:
    data = replace(world(), provenance={"sites": "real: three clinics", "a": "real"})
    dealt = partitioned(data, DirichletConfig(concentration=0.25), 0)
    told = dealt.provenance["sites"]
    assert told.startswith("real: three clinics; training and validation rows dealt anew by seed to 3 sites")
    assert "each class by Dirichlet shares of concentration 0.25; test rows stay" in told
    assert dealt.provenance["a"] == "real"
    assert "partition=dirichlet" in dealt.caution[-1]
    made = partitioned(world(), QuantityConfig(site_count=2), 0)
    assert "dealt anew by seed to 2 sites, sizes by Dirichlet" in made.provenance["sites"]
    assert "test rows dealt evenly" in made.provenance["sites"]


@needs("hapt")
def test_people_who_only_test_stay_when_hapt_is_dealt_anew() -> None:
    data = load_dataset(HaptConfig(), DATA_DIR, 0)
    dealt = partitioned(data, DirichletConfig(concentration=0.3), 0)
    unseen = [name for name, s in data.sites.items() if not (s.split == "train").any()]
    assert len(unseen) == 9
    assert all(dealt.sites[name] is data.sites[name] for name in unseen)
    train = {n: np.bincount(s.targets[s.split == "train"], minlength=6) for n, s in dealt.sites.items()}
    assert sum(int(row.sum()) for row in train.values()) == 21 * 50
    shares = np.array([row / row.sum() for n, row in train.items() if n not in unseen])
    assert shares.max(axis=1).mean() > 0.4  # 1/6 each before
