"""Leaves of 100 species: views joined by species and turn, made sites, up to 32 modalities."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fedmce.config.schema import Leaves100Config
from fedmce.data import FederatedDataset, leaves100, load_dataset, packed
from fedmce.data.draws import deal_classes, fill_empty
from fedmce.errors import DataError
from tests.data_location import DATA_DIR, needs


def line(species: str, value: float) -> str:
    return ",".join([species, *[str(value)] * 64])


def test_views_meet_by_species_and_turn_whatever_the_order_of_their_files() -> None:
    margin = leaves100.parse("\n".join(line(s, v) for s, v in [("a", 1), ("b", 2), ("a", 3), ("b", 4)]).encode(), "m")
    shape = leaves100.parse("\n".join(line(s, v) for s, v in [("b", 2), ("b", 4), ("a", 1), ("a", 3)]).encode(), "s")
    names, views = leaves100.join({"margin": margin, "shape": shape})
    assert names == ("a", "b")
    np.testing.assert_array_equal(views["shape"], views["margin"] * 1000)
    assert views["margin"][[14, 15, 30, 31], 0].tolist() == [1, 3, 2, 4]


def test_the_row_that_a_view_lacks_is_the_first_of_its_species() -> None:
    whole, short = np.arange(16.0)[:, None].repeat(64, 1), np.arange(1.0, 16.0)[:, None].repeat(64, 1)
    _, views = leaves100.join({"margin": {"a": whole}, "texture": {"a": short}})
    assert np.isnan(views["texture"][0]).all()
    np.testing.assert_array_equal(views["texture"][1:], views["margin"][1:])


@pytest.mark.parametrize(
    "content", [b"a,1,2,3\n", (line("a", 1) + ",5\n").encode(), line("a", 1).replace("1", "x").encode()]
)
def test_a_malformed_line_is_refused_by_number(content: bytes) -> None:
    with pytest.raises(DataError, match=r"m: line 2: .*needed a species and 64 numbers"):
        leaves100.parse(line("a", 1).encode() + b"\n" + content, "m")


def test_views_of_other_species_are_refused() -> None:
    with pytest.raises(DataError, match="shape has other species"):
        leaves100.join({"margin": {"a": np.zeros((16, 64))}, "shape": {"b": np.zeros((16, 64))}})


def test_dealt_alike_no_site_has_two_rows_of_a_class_or_in_all_more_than_another() -> None:
    targets = np.repeat(np.arange(20), 5)
    site = deal_classes(targets, 7, None, np.random.default_rng(0))
    table = np.zeros((20, 7), dtype=int)
    np.add.at(table, (targets, site), 1)
    assert table.max() == 1
    assert np.ptp(table.sum(axis=0)) <= 1


def test_dealt_by_shares_a_site_has_its_share_of_each_class_to_within_one_row() -> None:
    targets, shares = np.repeat(np.arange(30), 40), np.random.default_rng(1).dirichlet(np.full(5, 0.5), size=30)
    table = np.zeros((30, 5), dtype=int)
    np.add.at(table, (targets, deal_classes(targets, 5, shares, np.random.default_rng(0))), 1)
    assert (np.abs(table - 40 * shares) <= 1).all()


def test_an_empty_site_gets_a_row_of_the_richest_and_nothing_is_done_without_rows_enough() -> None:
    site = np.array([0, 0, 0, 0, 1, 1])
    assert np.bincount(fill_empty(site, 4, np.random.default_rng(0)), minlength=4).tolist() == [2, 2, 1, 1]
    np.testing.assert_array_equal(fill_empty(site, 7, np.random.default_rng(0)), site)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"parts": 16}, "at most 32 modalities"),
        ({"views": ("margin", "margin")}, "each view once"),
        ({"parts": 3}, "1, 2, 4, 8 or 16"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Leaves100Config(**given)  # type: ignore[arg-type]


def test_without_files_the_message_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fedmce data fetch leaves100.*data_dir=DIR") as caught:
        load_dataset(Leaves100Config(), tmp_path, 0)
    assert str(tmp_path / "leaves100") in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.fixture(scope="module")
def data() -> FederatedDataset:
    return load_dataset(Leaves100Config(), DATA_DIR, 0)


def parts_of(data: FederatedDataset) -> dict[str, str]:
    return {i: str(s) for site in data.sites.values() for i, s in zip(site.sample_ids, site.split, strict=True)}


def site_of(data: FederatedDataset) -> dict[str, str]:
    return {i: site.name for site in data.sites.values() for i in site.sample_ids}


@needs("leaves100")
def test_every_species_keeps_four_leaves_for_test_and_two_for_validation_and_sites_are_alike(
    data: FederatedDataset,
) -> None:
    split = np.concatenate([site.split for site in data.sites.values()])
    targets = np.concatenate([site.targets for site in data.sites.values()])
    for part, each in (("train", 10), ("validation", 2), ("test", 4)):
        assert set(np.bincount(targets[split == part], minlength=100)) == {each}
        assert {int((site.split == part).sum()) for site in data.sites.values()} == {each * 10}
    for site in data.sites.values():
        assert set(np.bincount(site.targets[site.split == "train"], minlength=100)) == {1}


@needs("leaves100")
def test_a_leaf_s_views_are_the_rows_of_its_species_and_turn_in_each_file(data: FederatedDataset) -> None:
    assert DATA_DIR is not None
    with zipfile.ZipFile(DATA_DIR / "leaves100" / "leaves100.zip") as archive:
        lines = {view: archive.read(file).decode().splitlines() for view, file in leaves100.FILES.items()}
    assert lines["shape"][0].startswith("Acer Capillipes,")  # the files' orders differ: by row number this test fails
    assert lines["margin"][0].startswith("Acer Campestre,")
    for site in data.sites.values():
        for row in range(0, len(site.sample_ids), 13):
            species, turn = site.sample_ids[row].rsplit("-", 1)
            assert data.task.classes[site.targets[row]] == species
            for view, scale in (("margin", 1.0), ("shape", 1000.0), ("texture", 1.0)):
                own = [text for text in lines[view] if text.startswith(species + ",")]
                if len(own) == 16:
                    expected = scale * np.array(own[int(turn)].split(",")[1:], dtype=float)
                    np.testing.assert_allclose(site.features[view][row], expected, rtol=1e-6)


@needs("leaves100")
def test_the_only_gap_is_one_texture_of_acer_campestre_and_it_trains(data: FederatedDataset) -> None:
    gaps = [
        (name, str(part), row.tolist())
        for site in data.sites.values()
        for name, part, row in zip(site.sample_ids, site.split, site.available, strict=True)
        if not row.all()
    ]
    assert gaps == [("Acer Campestre-00", "train", [True, True, False])]
    assert all(load_dataset(Leaves100Config(test_rows=8, validation_rows=7), DATA_DIR, s).sites for s in range(3))
    for seed in range(3):
        assert (
            parts_of(load_dataset(Leaves100Config(test_rows=8, validation_rows=7), DATA_DIR, seed))[gaps[0][0]]
            == "train"
        )
    without = load_dataset(Leaves100Config(views=("texture",)), DATA_DIR, 0)
    assert sum(len(site.sample_ids) for site in without.sites.values()) == 1599


@needs("leaves100")
def test_split_depends_on_seed_and_own_count_alone(data: FederatedDataset) -> None:
    same = parts_of(data)
    for config in (Leaves100Config(site_count=7, label_skew=0.2), Leaves100Config(views=("shape",), parts=4)):
        assert parts_of(load_dataset(config, DATA_DIR, 0)) == same
    more = parts_of(load_dataset(Leaves100Config(validation_rows=4), DATA_DIR, 0))
    assert {i for i, p in same.items() if p == "test"} == {i for i, p in more.items() if p == "test"}
    assert parts_of(load_dataset(Leaves100Config(), DATA_DIR, 1)) != same


@needs("leaves100")
def test_label_skew_gives_sites_their_own_species_in_every_split_and_leaves_none_empty() -> None:
    skewed = load_dataset(Leaves100Config(label_skew=0.1), DATA_DIR, 0)
    held = [np.bincount(s.targets[s.split == "train"], minlength=100) for s in skewed.sites.values()]
    tested = [np.bincount(s.targets[s.split == "test"], minlength=100) for s in skewed.sites.values()]
    assert max((h > 0).sum() for h in held) < 60
    assert np.corrcoef(np.ravel(held), np.ravel(tested))[0, 1] > 0.9
    scarce = load_dataset(Leaves100Config(label_skew=0.01, site_count=100, test_rows=1, validation_rows=1), DATA_DIR, 0)
    assert len(scarce.sites) == 100
    assert all({"train", "validation", "test"} == set(site.split) for site in scarce.sites.values())
    assert sorted(site_of(scarce)) == sorted(site_of(skewed))


@needs("leaves100")
def test_thirty_two_modalities_are_the_columns_of_two_views_in_order(data: FederatedDataset) -> None:
    many = load_dataset(Leaves100Config(views=("margin", "shape"), parts=16), DATA_DIR, 0)
    assert [m.name for m in many.modalities] == [f"{v}_{k}" for v in ("margin", "shape") for k in range(16)]
    assert {m.shape for m in many.modalities} == {(4,)}
    for name, site in many.sites.items():
        for view in ("margin", "shape"):
            joined = np.concatenate([site.features[f"{view}_{k}"] for k in range(16)], axis=1)
            np.testing.assert_array_equal(joined, data.sites[name].features[view])


@needs("leaves100")
def test_provenance_says_that_the_sites_are_made(data: FederatedDataset) -> None:
    assert data.provenance["sites"].startswith("made: ")
    assert set(data.provenance) == {"margin", "shape", "texture", "labels", "sites"}
    assert "sites are made" in data.caution[0]


@needs("leaves100")
def test_the_owners_tables_are_accepted_in_any_wrapping_and_others_refused(tmp_path: Path) -> None:
    assert DATA_DIR is not None
    tables = packed.leaf_tables(DATA_DIR / "leaves100" / "leaves100.zip")
    inner, path = tmp_path / "inner.zip", tmp_path / "a.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        for name, content in tables.items():
            archive.writestr(f"100 leaves plant species/{name}", content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "100 leaves plant species.zip")
    assert packed.leaf_tables(inner) == packed.leaf_tables(path) == tables
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data_Mar_64.txt", tables["data_Mar_64.txt"][:-1])
        archive.writestr("data_Sha_64.txt", tables["data_Sha_64.txt"])
    with pytest.raises(DataError, match=r"sha256 of data_Mar_64\.txt"):
        packed.leaf_tables(path)
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="not a whole zip"):
        packed.leaf_tables(path)
