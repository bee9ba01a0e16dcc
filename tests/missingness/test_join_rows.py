"""Rows of several sites as those of one: what ``scope=pooled`` trains on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.missingness import ObservedRows, SiteMask, draw_masks, join_rows, observe
from fedmce.scope import POOLED, nodes
from tests.oracles.worlds import Bools, make_site, modality, patterns
from tests.server.made import SITES, made_config, made_dataset, use

MODALITIES = tuple(modality(name, 2 + i) for i, name in enumerate("abc"))


def part(name: str, available: Bools) -> ObservedRows:
    site = make_site(name, np.ones_like(available))
    return observe(site, SiteMask(site.sample_ids, available), MODALITIES, "train")


def sample(rows: ObservedRows, row: int, column: int) -> np.ndarray:
    return rows.values["abc"[column]][rows.slot[row, column]]


@given(one=patterns(3), two=patterns(3), three=patterns(3))
def test_every_sample_is_found_under_its_row_and_nothing_else_is_there(one: Bools, two: Bools, three: Bools) -> None:
    parts = [part(name, available) for name, available in zip("zyx", (one, two, three), strict=True)]
    whole = join_rows("all", parts)
    assert whole.rows == sum(p.rows for p in parts)
    assert len(set(whole.sample_ids)) == whole.rows
    assert all(len(v) == sum(len(p.values[m]) for p in parts) for m, v in whole.values.items())
    at = 0
    for p in parts:
        for row in range(p.rows):
            assert whole.sample_ids[at] == f"{p.site}/{p.sample_ids[row]}"
            assert whole.targets[at] == p.targets[row]
            assert np.array_equal(whole.available[at], p.available[row])
            for column in range(3):
                if p.available[row, column]:
                    assert np.array_equal(sample(whole, at, column), sample(p, row, column))
                else:
                    assert whole.slot[at, column] == -1
            at += 1


@given(available=patterns(3))
def test_a_single_part_keeps_its_ids_and_arrays(available: Bools) -> None:
    alone = part("x", available)
    whole = join_rows("all", [alone])
    assert whole.site == "all"
    assert whole.sample_ids == alone.sample_ids
    assert whole.values is alone.values


@pytest.mark.parametrize("split", ["train", "validation"])
def test_pooled_rows_miss_what_the_sites_miss(monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    """The masks of D3 are those of the federation, row by row."""
    dataset = use(monkeypatch, made_dataset())
    config = made_config("centralised")
    place = open_workplace(config.to_json(), POOLED)
    rows = place.train if split == "train" else place.validation
    masks = draw_masks(dataset, config.missingness, config.seed)
    seen = dict(zip(rows.sample_ids, rows.available, strict=True))
    expected = {}
    for name in SITES:
        site, mask = dataset.sites[name], masks.sites[name]
        here = np.flatnonzero((site.split == split) & mask.available.any(axis=1))
        expected |= {f"{name}/{site.sample_ids[r]}": mask.available[r] for r in here}
    assert seen.keys() == expected.keys()
    assert all(np.array_equal(seen[key], expected[key]) for key in seen)
    assert not rows.available.all()


def test_one_node_answers_for_all_and_a_single_site_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset: FederatedDataset = made_dataset()
    assert nodes(made_config("centralised"), dataset.sites) == (POOLED,)
    assert nodes(made_config("centralised", sites=("ash",)), dataset.sites) == ("ash",)
    assert nodes(made_config("fedmce"), dataset.sites) == SITES
    assert nodes(made_config("fedmce", sites=("birch", "ash")), dataset.sites) == ("birch", "ash")
