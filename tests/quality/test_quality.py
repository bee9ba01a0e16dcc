"""Degraded sensors: what is chosen is changed as told, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedmce.cli.compose import load_config
from fedmce.config.quality import CleanConfig, DegradedConfig
from fedmce.data import FederatedDataset, Modality, SiteRows, Task, dataset_of, load_dataset
from fedmce.errors import ConfigError
from fedmce.quality import KINDS, degraded_sites, with_quality

KINDS_NAMED = ("misaligned", "noise", "gain", "swap")
RNG = np.random.default_rng


def site(name: str, rows: int = 24, train: bool = True) -> SiteRows:
    """Two modalities, ``a`` with gaps in every fifth row and a hole in every seventh."""
    rng = RNG(sum(map(ord, name)))
    available = np.ones((rows, 2), dtype=bool)
    available[::5, 0] = False
    a, b = rng.normal(3, 2, (rows, 4)).astype(np.float32), rng.normal(size=(rows, 3, 5)).astype(np.float32)
    a[::7, 1] = np.nan
    a[~available[:, 0]] = np.nan
    split = np.array([("train", "train", "validation", "test")[row % 4] if train else "test" for row in range(rows)])
    ids = tuple(f"{name}-{row}" for row in range(rows))
    return SiteRows(name, ids, np.arange(rows) % 2, split, {"a": a, "b": b}, available)


def world(*extra: SiteRows) -> FederatedDataset:
    sites = [site(name) for name in ("north", "south", "west", "east", "isle")] + [site("unseen", train=False), *extra]
    modalities = (Modality("a", "tabular", (4,), "u"), Modality("b", "series", (3, 5), "u", pooled_axes=(1,)))
    provenance = {"a": "real: measured", "sites": "real"}
    return FederatedDataset("toy", modalities, Task(("no", "yes")), {s.name: s for s in sites}, provenance)


def touched(rows: SiteRows, modality: int, splits: tuple[str, ...]) -> npt.NDArray[np.int64]:
    return np.flatnonzero(rows.available[:, modality] & np.isin(rows.split, splits))


def test_clean_is_the_very_same_object_and_so_is_the_data_set_of_a_plain_run() -> None:
    data = world()
    assert with_quality(data, CleanConfig(), 0) is data
    config = load_config(["dataset=av_digits"])
    assert dataset_of(config) is load_dataset(config.dataset, None, 0)


@given(
    kind=st.sampled_from(KINDS_NAMED),
    modality=st.sampled_from(["a", "b"]),
    splits=st.sampled_from([("train",), ("validation",), ("train", "test")]),
    seed=st.integers(0, 30),
)
def test_only_the_chosen_modality_sites_and_splits_are_touched_and_gaps_and_holes_are_kept(
    kind: Any, modality: str, splits: Any, seed: int
) -> None:
    data = world()
    before = {n: {m: v.copy() for m, v in s.features.items()} for n, s in data.sites.items()}
    config = DegradedConfig(modality=modality, sites=("north", "west"), kind=kind, splits=splits)
    done = with_quality(data, config, seed)
    assert list(done.sites) == list(data.sites)
    for name, old in data.sites.items():
        new = done.sites[name]
        for m in ("a", "b"):
            np.testing.assert_array_equal(old.features[m], before[name][m])  # the input is left as it is
        if name not in ("north", "west"):
            assert new is old
            continue
        assert (new.sample_ids, new.targets is old.targets, new.split is old.split) == (old.sample_ids, True, True)
        assert new.available is old.available
        other = "b" if modality == "a" else "a"
        assert new.features[other] is old.features[other]
        rows = touched(old, "ab".index(modality), splits)
        rest = np.setdiff1d(np.arange(len(old.sample_ids)), rows)
        np.testing.assert_array_equal(new.features[modality][rest], old.features[modality][rest])
        assert not np.array_equal(new.features[modality][rows], old.features[modality][rows], equal_nan=True)
        assert np.isnan(new.features[modality]).sum() == np.isnan(old.features[modality]).sum()
        absent = ~old.available[:, "ab".index(modality)]
        assert np.isnan(new.features[modality][absent]).all()
        assert new.features[modality].dtype == np.float32


@given(rows=st.integers(2, 40), level=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_misaligned_rows_hold_samples_of_other_misaligned_rows_and_none_its_own(
    rows: int, level: float, seed: int
) -> None:
    samples = np.arange(rows, dtype=np.float32)[:, None]
    after = KINDS["misaligned"](samples, level, np.ones(1), RNG(seed))
    assert sorted(after[:, 0]) == sorted(samples[:, 0])
    moved = int((after != samples).sum())
    assert moved == min(rows, max(2, int(level * rows + 0.5)))
    assert level < 1 or moved == rows


def test_one_row_alone_cannot_be_misaligned() -> None:
    one = np.ones((1, 3), dtype=np.float32)
    np.testing.assert_array_equal(KINDS["misaligned"](one, 1.0, np.ones(3), RNG(0)), one)


def test_misaligned_values_stay_inside_their_site_and_split() -> None:
    data = world()
    done = with_quality(data, DegradedConfig(modality="b", sites=1.0, splits=("train", "validation")), 0)
    for name in ("north", "south", "west", "east", "isle"):
        for split in ("train", "validation"):
            rows = touched(data.sites[name], 1, (split,))
            own = {v.tobytes() for v in data.sites[name].features["b"][rows]}
            assert {v.tobytes() for v in done.sites[name].features["b"][rows]} == own


def test_noise_has_the_level_in_standard_deviations_of_the_modality_and_keeps_the_mean() -> None:
    samples, spread = np.zeros((20_000, 2), dtype=np.float32), np.array([1.0, 10.0])
    after = KINDS["noise"](samples, 0.5, spread, RNG(0))
    np.testing.assert_allclose(after.std(axis=0), [0.5, 5.0], rtol=0.03)
    np.testing.assert_allclose(after.mean(axis=0) / spread, 0, atol=0.02)


def test_noise_is_scaled_by_the_spread_over_the_training_rows_of_all_sites() -> None:
    data = world()
    rows = {n: touched(s, 0, ("train",)) for n, s in data.sites.items()}
    pooled = np.concatenate([s.features["a"][rows[n]] for n, s in data.sites.items()])
    done = with_quality(data, DegradedConfig(modality="a", sites=("south",), kind="noise", level=0.01), 0)
    change = (done.sites["south"].features["a"] - data.sites["south"].features["a"])[rows["south"]]
    twice = with_quality(data, DegradedConfig(modality="a", sites=("south",), kind="noise", level=0.02), 0)
    np.testing.assert_allclose(
        (twice.sites["south"].features["a"] - data.sites["south"].features["a"])[rows["south"]],
        2 * change,
        atol=2e-6,
    )
    from fedmce.quality.degraded import _spread

    np.testing.assert_allclose(_spread(data, data.modalities[0]), np.nanstd(pooled.astype(float), axis=0), rtol=1e-6)
    assert _spread(data, data.modalities[1]).shape == (3, 1)


def test_every_site_and_split_has_noise_of_its_own() -> None:
    one, splits = site("north"), np.repeat(["train", "test"], 12)
    whole = replace(one, available=np.ones_like(one.available), split=splits)
    data = world()
    data = replace(data, sites={n: replace(whole, name=n) for n in ("north", "south")})
    done = with_quality(data, DegradedConfig(modality="b", sites=1.0, kind="noise", splits=("train", "test")), 0)
    north, south = (done.sites[n].features["b"] - data.sites[n].features["b"] for n in ("north", "south"))
    assert not np.isclose(north, south).any()
    assert not np.isclose(north[:12], north[12:]).any()


def test_gain_reaches_exp_of_the_level_in_the_last_row_and_is_not_in_file_order() -> None:
    samples = np.ones((11, 2, 3), dtype=np.float32)
    after = KINDS["gain"](samples, 0.7, np.ones(1), RNG(0))[:, 0, 0]
    np.testing.assert_allclose(np.sort(after), np.exp(0.7 * np.arange(11) / 10), rtol=1e-6)
    assert (np.diff(after) < 0).any()
    np.testing.assert_allclose(KINDS["gain"](samples[:1], 0.7, np.ones(1), RNG(0)), np.exp(0.7), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "after"),
    [
        ((3, 2), [[4, 5], [0, 1], [2, 3]]),
        ((1, 4), [[2, 3, 0, 1]]),
        ((6,), [3, 4, 5, 0, 1, 2]),
        ((2, 1, 1), [[[1]], [[0]]]),
    ],
)
def test_swap_turns_channels_or_the_halves_of_one(shape: tuple[int, ...], after: list[Any]) -> None:
    samples = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    np.testing.assert_array_equal(KINDS["swap"](samples, 1.0, np.ones(1), RNG(0))[0], after)


def test_swap_touches_its_share_of_rows() -> None:
    samples = np.arange(40, dtype=np.float32).reshape(20, 2)
    after = KINDS["swap"](samples, 0.3, np.ones(1), RNG(0))
    assert int((after != samples).any(axis=1).sum()) == 6


@given(share=st.floats(0, 1), more=st.floats(0, 1), seed=st.integers(0, 40))
def test_a_share_is_rounded_drawn_among_holders_and_nested_in_every_larger_one(
    share: float, more: float, seed: int
) -> None:
    data = world(replace(site("blind"), available=site("blind").available & np.array([False, True])))
    small, large = (
        degraded_sites(data, DegradedConfig(modality="a", sites=s), seed) for s in sorted([share, max(share, more)])
    )
    assert set(small) <= set(large)
    assert not set(large) & {"unseen", "blind"}
    assert len(small) == (max(1, int(5 * share + 0.5)) if share else 0)
    turned = replace(data, sites=dict(reversed(data.sites.items())))
    assert set(degraded_sites(turned, DegradedConfig(modality="a", sites=share), seed)) == set(small)


def test_the_draw_of_sites_depends_on_the_seed_and_reaches_every_holder() -> None:
    drawn = {degraded_sites(world(), DegradedConfig(sites=0.2), seed) for seed in range(40)}
    assert drawn == {(name,) for name in ("north", "south", "west", "east", "isle")}


@pytest.mark.parametrize("kind", KINDS_NAMED)
def test_equal_seeds_degrade_alike_whatever_the_order_of_sites_and_others_do_not(kind: Any) -> None:
    data, config = world(), DegradedConfig(modality="b", sites=("north", "south"), kind=kind, level=0.6)
    one = with_quality(data, config, 1)
    other = with_quality(replace(data, sites=dict(reversed(data.sites.items()))), config, 1)
    for name in data.sites:
        np.testing.assert_array_equal(one.sites[name].features["b"], other.sites[name].features["b"])
    changed = with_quality(data, config, 2)
    assert any((one.sites[n].features["b"] != changed.sites[n].features["b"]).any() for n in ("north", "south"))


def test_the_first_modality_is_meant_where_none_is_named() -> None:
    data = world()
    done = with_quality(data, DegradedConfig(sites=("north",)), 0)
    assert done.sites["north"].features["b"] is data.sites["north"].features["b"]


def test_provenance_and_caution_name_the_sites_and_what_was_done() -> None:
    done = with_quality(world(), DegradedConfig(modality="a", sites=("isle", "west"), level=0.5), 0)
    note = "degraded by seed in the train rows of west, isle: 50% of the rows hold values of other rows of their site"
    assert done.provenance["a"] == f"real: measured; {note}"
    assert done.caution == (f"a is {note}",)
    noisy = with_quality(world(), DegradedConfig(modality="b", sites=("isle",), kind="noise", level=2), 0)
    assert noisy.provenance["b"].endswith("rows of isle: noise of 2 standard deviations added")
    assert noisy.provenance["a"] == "real: measured"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DegradedConfig(modality="aa"), "quality.modality: unknown modality 'aa'; known are a, b"),
        (DegradedConfig(sites=("nort",)), r"quality.sites: unknown site 'nort'; .*did you mean 'north'\?"),
        (DegradedConfig(sites=("unseen",)), "quality.sites: unseen have no a in train rows; needed out of north, "),
    ],
)
def test_names_that_the_data_set_does_not_have_are_refused(config: DegradedConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_quality(world(), config, 0)


def test_a_vector_of_one_entry_cannot_be_swapped() -> None:
    one = Modality("a", "tabular", (1,), "u")
    rows = site("north")
    thin = replace(rows, features={"a": rows.features["a"][:, :1]}, available=rows.available[:, :1])
    data = FederatedDataset("toy", (one,), Task(("no", "yes")), {"north": thin})
    with pytest.raises(ConfigError, match=r"quality\.kind: given swap for a of shape"):
        with_quality(data, DegradedConfig(kind="swap"), 0)


@pytest.mark.parametrize(
    ("given_keys", "message"),
    [
        ({"level": 2.0}, "level: given 2 with kind=misaligned, a share of rows; needed at most 1"),
        ({"kind": "swap", "level": 1.5}, "kind=swap"),
        ({"splits": ("train", "train")}, "each split once"),
        ({"splits": ()}, "at least 1"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(given_keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DegradedConfig(**given_keys)


def test_a_run_s_data_set_is_dealt_then_degraded_read_only_and_made_once() -> None:
    config = load_config(["dataset=av_digits", "partition=dirichlet", "quality=degraded", "quality.modality=audio"])
    data = dataset_of(config)
    assert dataset_of(config.model_copy(update={"name": "other", "rounds": 3})) is data
    assert "dealt anew" in data.provenance["sites"]
    assert "degraded by seed in the train rows of" in data.provenance["audio"]
    assert not any(v.flags.writeable for s in data.sites.values() for v in s.features.values())
    noisy = config.model_copy(update={"quality": DegradedConfig(modality="audio", kind="noise")})
    assert "noise of 1 standard deviations" in dataset_of(noisy).provenance["audio"]
    plain = dataset_of(load_config(["dataset=av_digits"]))
    assert sum(len(s.sample_ids) for s in data.sites.values()) == sum(len(s.sample_ids) for s in plain.sites.values())
    assert dataset_of(config.model_copy(update={"seed": 1})) is not data
