"""Masks as files: they travel as npz or CSV and come back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from fedmce.config.schema import FileConfig, McarConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.errors import DataError
from fedmce.missingness import MaskSet, SiteMask, draw_masks, draw_site_mask, read_masks
from tests.missingness.views import full
from tests.oracles.worlds import Bools, make_dataset, make_site, patterns


def world() -> FederatedDataset:
    natural = full(30)
    natural[::7, 1] = False
    splits = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    return make_dataset([make_site(name, natural, splits) for name in ("north", "zürich, old", 'ea"st')])


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
@pytest.mark.parametrize("on_empty", ["restore", "drop"])
def test_masks_read_back_from_a_file_have_the_same_hash(tmp_path: Path, suffix: str, on_empty: str) -> None:
    masks = draw_masks(world(), McarConfig(rate=0.6, draw="independent", on_empty=on_empty), 4)
    path = tmp_path / f"masks{suffix}"
    masks.save(path) if suffix == ".npz" else masks.to_csv(path)
    config = FileConfig(path=str(path), sha256=masks.sha256())
    again = draw_masks(world(), config, 99)
    assert again.sha256() == masks.sha256() == read_masks(path).sha256()
    assert again.realised == masks.realised
    # What a file asks for is what it shows.
    assert all(again.rates[site] == pytest.approx(masks.realised[site]) for site in masks.sites)


@given(available=patterns(3, max_rows=12))
@settings(max_examples=20)
def test_any_mask_survives_a_table(available: Bools) -> None:
    import tempfile

    masks = MaskSet(("a", "b", "c"), {"x": SiteMask(tuple(f"r {n}" for n in range(len(available))), available)}, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.csv"
        masks.to_csv(path)
        assert MaskSet.from_csv(path).sha256() == masks.sha256()


def test_a_table_may_be_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "masks.csv"
    lines = ["site,sample_id,b,a", *(f"x,x-{row},{row % 2},1" for row in (2, 0, 1))]
    path.write_text("\n".join(lines) + "\n")
    data = make_dataset([make_site("x", full(3, 2))])
    mask, rates = draw_site_mask(data, data.sites["x"], FileConfig(path=str(path)), 0)
    assert mask.available.tolist() == [[True, False], [True, True], [True, False]]
    assert rates == pytest.approx({"a": 0.0, "b": 2 / 3})


def test_what_was_never_recorded_stays_hidden_whatever_the_file_says(tmp_path: Path) -> None:
    data = world()
    everything = MaskSet(("a", "b", "c"), {n: SiteMask(s.sample_ids, full(30)) for n, s in data.sites.items()}, {})
    everything.to_csv(tmp_path / "m.csv")
    masks = draw_masks(data, FileConfig(path=str(tmp_path / "m.csv")), 0)
    assert all(np.array_equal(masks.sites[n].available, s.available) for n, s in data.sites.items())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the first line is ''"),
        (["site,sample_id"], "needed site,sample_id and each modality once"),
        (["sample_id,site,a"], "needed site,sample_id and each modality once"),
        (["site,sample_id,a,a"], "needed site,sample_id and each modality once"),
        (["site,sample_id,a,b", "x,r,1"], r"line 2 is 'x,r,1'; needed site,sample_id,a,b with 0 or 1 each"),
        (["site,sample_id,a,b", "x,r,1,yes"], "with 0 or 1 each"),
        (["site,sample_id,a,b", "x,r,1,0", "x,r,1,1"], "line 3 names row 'r' of site 'x' again"),
    ],
)
def test_a_table_that_is_none_is_refused_by_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "masks.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        MaskSet.from_csv(path)


def test_a_file_of_other_data_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    data = world()
    masks = draw_masks(data, McarConfig(), 0)
    path = tmp_path / "masks.npz"

    def attempt(what: MaskSet, **keys: str) -> None:
        what.save(path)
        draw_masks(data, FileConfig(path=str(path), **keys), 0)

    attempt(masks)
    with pytest.raises(DataError, match=r"needed missingness\.sha256=0000"):
        attempt(masks, sha256="0" * 64)
    with pytest.raises(DataError, match="modalities a, b, d; needed a, b, c"):
        attempt(MaskSet(("a", "b", "d"), masks.sites, {}))
    with pytest.raises(DataError, match="no site 'north'"):
        attempt(MaskSet(masks.modalities, {n: m for n, m in masks.sites.items() if n != "north"}, {}))
    short = {n: SiteMask(m.sample_ids[1:], m.available[1:]) for n, m in masks.sites.items()}
    with pytest.raises(DataError, match="site north has no row 'north-0'"):
        attempt(MaskSet(masks.modalities, short, {}))
    path.unlink()
    with pytest.raises(DataError, match="cannot be read; needed a mask file on this machine"):
        draw_masks(data, FileConfig(path=str(path)), 0)
