"""Mask files, their hash, and the one place that removes values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import ImbalancedConfig
from fedmce.errors import DataError
from fedmce.missingness import MaskSet, SiteMask, draw_masks, keep_modalities, observe
from tests.oracles.worlds import Bools, make_dataset, make_site, modality, patterns, rows_of

MODALITIES = tuple(modality(name, 2 + i) for i, name in enumerate("abc"))
SITE = make_site("x", np.ones((8, 3), dtype=bool), ["train"] * 6 + ["validation", "test"])
CODES = [7, 1, 6, 4, 2, 5, 3, 7]


def some_masks() -> MaskSet:
    data = make_dataset([make_site(name, np.ones((11, 3), dtype=bool)) for name in ("north", "zürich", "east 3")])
    return draw_masks(data, ImbalancedConfig(rates={"a": 0.4, "c": 0.6}), 5)


def test_masks_survive_a_file_and_keep_their_hash(tmp_path: Path) -> None:
    masks = some_masks()
    masks.save(tmp_path / "masks.npz")
    again = MaskSet.load(tmp_path / "masks.npz")
    assert again.sha256() == masks.sha256()
    assert again.modalities == masks.modalities
    for name, mask in masks.sites.items():
        assert again.sites[name].sample_ids == mask.sample_ids
        assert np.array_equal(again.sites[name].available, mask.available)
        assert again.sites[name].available.dtype == np.bool_


@pytest.mark.parametrize("damage", ["absent", "text", "cut", "other arrays", "one array", "empty"])
def test_a_file_that_holds_no_masks_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "masks.npz"
    some_masks().save(path)
    whole = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "text":
        path.write_text("no masks")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other arrays":
        np.savez(path, x=np.zeros(3))
    else:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"masks\.npz: .*a mask file of a run is needed"):
        MaskSet.load(path)


def test_the_hash_does_not_see_the_order_of_sites() -> None:
    masks = some_masks()
    assert replace(masks, sites=dict(reversed(masks.sites.items()))).sha256() == masks.sha256()


@given(row=st.integers(0, 10), column=st.integers(0, 2), name=st.sampled_from(["north", "zürich", "east 3"]))
def test_the_hash_sees_every_single_bit(row: int, column: int, name: str) -> None:
    masks = some_masks()
    turned = masks.sites[name].available.copy()
    turned[row, column] ^= True
    sites = masks.sites | {name: SiteMask(masks.sites[name].sample_ids, turned)}
    assert replace(masks, sites=sites).sha256() != masks.sha256()


def test_the_hash_sees_names_of_sites_samples_and_modalities() -> None:
    masks = some_masks()
    north = masks.sites["north"]
    others = [
        replace(masks, modalities=("a", "b", "d")),
        replace(masks, sites=masks.sites | {"north": SiteMask(("other", *north.sample_ids[1:]), north.available)}),
        replace(masks, sites={("n" if name == "north" else name): mask for name, mask in masks.sites.items()}),
        replace(masks, sites={name: mask for name, mask in masks.sites.items() if name != "north"}),
    ]
    assert len({masks.sha256(), *(other.sha256() for other in others)}) == 5


@given(available=patterns(3, min_rows=8, max_rows=8))
def test_observed_rows_hold_what_the_mask_shows_in_its_place(available: Bools) -> None:
    seen = observe(SITE, SiteMask(SITE.sample_ids, available), MODALITIES, "train")
    assert seen.sample_ids == SITE.sample_ids[:6]
    assert np.array_equal(seen.available, available[:6])
    for column, m in enumerate(MODALITIES):
        assert len(seen.values[m.name]) == available[:6, column].sum()
        for row in range(6):
            slot = seen.slot[row, column]
            assert (slot >= 0) == available[row, column]
            if slot >= 0:
                assert np.array_equal(seen.values[m.name][slot], SITE.features[m.name][row])


def test_hidden_values_cannot_be_reached_from_observed_rows() -> None:
    mask = SiteMask(SITE.sample_ids, rows_of(CODES, 3))
    seen = observe(SITE, mask, MODALITIES, "train")
    for column, m in enumerate(MODALITIES):
        values = seen.values[m.name]
        root = values if values.base is None else values.base
        assert not np.shares_memory(values, SITE.features[m.name])
        assert root.size == values.size
        hidden = SITE.features[m.name][:6][~mask.available[:6, column]]
        assert not np.isin(hidden, values).any()
    assert not np.shares_memory(seen.targets, SITE.targets)
    assert not np.shares_memory(seen.available, mask.available)


def test_only_the_rows_of_the_asked_split_that_hold_something_are_observed() -> None:
    available = rows_of([7, 0, 1, 0, 2, 7, 7, 3], 3)
    mask = SiteMask(SITE.sample_ids, available)
    found = {split: observe(SITE, mask, MODALITIES, split).sample_ids for split in ("train", "validation", "test")}
    assert found == {"train": ("x-0", "x-2", "x-4", "x-5"), "validation": ("x-6",), "test": ("x-7",)}


def test_a_mask_of_other_rows_is_refused() -> None:
    mask = SiteMask((*SITE.sample_ids[1:], "y-9"), np.ones((8, 3), dtype=bool))
    with pytest.raises(DataError, match="site x: the mask was drawn for other rows"):
        observe(SITE, mask, MODALITIES, "train")


def test_a_mask_that_shows_what_was_never_recorded_is_refused() -> None:
    gappy = make_site("x", rows_of([7, 5, 7, 7, 7, 7, 7, 7], 3))
    with pytest.raises(DataError, match="site x: the mask shows values that were never recorded"):
        observe(gappy, SiteMask(gappy.sample_ids, np.ones((8, 3), dtype=bool)), MODALITIES, "train")


@given(available=patterns(3, min_rows=8, max_rows=8), held=st.sets(st.sampled_from("abc"), min_size=1))
def test_keeping_some_modalities_is_observing_through_a_mask_without_the_others(
    available: Bools, held: set[str]
) -> None:
    seen = observe(SITE, SiteMask(SITE.sample_ids, available), MODALITIES, "train")
    kept = keep_modalities(seen, ("a", "b", "c"), held)
    columns = np.array([name in held for name in "abc"])
    expected = observe(SITE, SiteMask(SITE.sample_ids, available & columns), MODALITIES, "train")
    assert kept.sample_ids == expected.sample_ids
    assert np.array_equal(kept.targets, expected.targets)
    assert np.array_equal(kept.available, expected.available)
    assert set(kept.values) == held
    for column, name in enumerate("abc"):
        if name in held:
            mine, theirs = kept.slot[:, column], expected.slot[:, column]
            assert np.array_equal(mine >= 0, theirs >= 0)
            assert np.array_equal(kept.values[name][mine[mine >= 0]], expected.values[name][theirs[theirs >= 0]])
        else:
            assert (kept.slot[:, column] == -1).all()
