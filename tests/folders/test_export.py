"""Exported sites are the data set again: every row, value and gap; what masks hide is nowhere in the folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedmce.config.folders import FoldersConfig
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset, load_dataset
from fedmce.errors import ConfigError, DataError
from fedmce.folders.dataset import folders_dataset, planned_dataset
from fedmce.folders.exporting import export_sites, folder_name
from fedmce.folders.layout import SiteFile
from fedmce.folders.plan import planned
from fedmce.missingness import draw_masks
from tests.data_location import DATA_DIR, needs
from tests.folders.made import elsewhere, exported, on_folders
from tests.server.made import MODALITIES, SITES, made_config, made_dataset


def read(path: Path) -> FederatedDataset:
    return folders_dataset(FoldersConfig.model_validate({"path": str(path)}))


def assert_same_rows(found: FederatedDataset, data: FederatedDataset) -> None:
    assert found.modalities == data.modalities
    assert (found.task, found.provenance, found.caution) == (data.task, data.provenance, data.caution)
    assert set(found.sites) == {folder_name(site) for site in data.sites}
    for name, site in data.sites.items():
        again = found.sites[folder_name(name)]
        assert again.sample_ids == site.sample_ids
        for part in ("targets", "split", "available"):
            np.testing.assert_array_equal(getattr(again, part), getattr(site, part))
        for key, values in site.features.items():
            absent = ~site.available[:, [m.name for m in data.modalities].index(key)]
            np.testing.assert_array_equal(again.features[key][~absent], values[~absent])
            assert np.isnan(again.features[key][absent]).all()


@pytest.mark.parametrize(
    "name",
    [
        "av_digits",
        pytest.param("heart_disease", marks=needs("heart_disease")),
        pytest.param("sound_mnist", marks=needs("sound_mnist")),
    ],
)
def test_a_data_set_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    section = made_config(dataset={"name": name}, missingness={"name": "natural"}).dataset
    data = load_dataset(section, DATA_DIR, 3)
    export_sites(tmp_path / "sites", data, list(data.sites))
    assert_same_rows(read(tmp_path / "sites"), data)


def test_only_present_samples_are_stored_and_what_a_mask_hides_is_nowhere(tmp_path: Path) -> None:
    config, data = made_config(), made_dataset()
    masks = draw_masks(data, config.missingness, config.seed).sites
    shown = {site: mask.available for site, mask in masks.items()}
    export_sites(tmp_path / "sites", data, SITES, shown)
    for site in SITES:
        for at, modality in enumerate(MODALITIES):
            path = tmp_path / "sites" / site / "features" / f"{modality.name}.npy"
            held = int(shown[site][:, at].sum())
            assert (len(np.load(path)) if path.exists() else 0) == held
    found = read(tmp_path / "sites")
    assert all((found.sites[site].available == shown[site]).all() for site in SITES)


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is there and not empty"):
        export_sites(tmp_path / "sites", made_dataset(), SITES)
    assert [p.name for p in (tmp_path / "sites").iterdir()] == ["mine.txt"]


def test_names_that_would_meet_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two of them would share a name"):
        export_sites(tmp_path / "sites", made_dataset(), ("a_b", "a-b"))
    assert not (tmp_path / "sites").exists()


def test_a_folder_may_hold_fewer_modalities_and_says_which_entries_may_be_holes(tmp_path: Path) -> None:
    path = exported(tmp_path / "sites", made_dataset())
    site = SiteFile.read(path / "ash")
    assert {name: modality.holes for name, modality in site.modalities.items()} == {
        "image": False,
        "sound": False,
        "blood": True,
    }


def test_where_the_folders_lie_counts_in_no_fingerprint_and_the_plan_travels(tmp_path: Path) -> None:
    first, second = (on_folders(exported(tmp_path / name, made_dataset())) for name in ("one", "two"))
    told = planned(first)
    assert isinstance(told.dataset, FoldersConfig)
    assert [m.name for m in told.dataset.modalities] == [m.name for m in MODALITIES]
    assert told.dataset.classes == ("low", "middle", "high")
    assert told.sites == tuple(sorted(SITES))
    assert told.fingerprint() == planned(second).fingerprint() == elsewhere(first).fingerprint()
    assert planned(told) == told
    other = RunConfig.model_validate(told.model_dump() | {"sites": SITES[:2]})
    assert other.fingerprint() != told.fingerprint()


def test_a_server_without_rows_has_the_plan_and_sites_without_rows(tmp_path: Path) -> None:
    from fedmce.data import dataset_of
    from fedmce.networks import spec_for

    config = on_folders(exported(tmp_path / "sites", made_dataset()))
    held, apart = dataset_of(config), dataset_of(elsewhere(config))
    assert apart.modalities == held.modalities
    assert apart.task == held.task
    assert spec_for(apart, elsewhere(config)) == spec_for(held, config)
    assert all(not site.sample_ids for site in apart.sites.values())
    masks = draw_masks(apart, config.missingness, config.seed)
    assert set(masks.sites) == set(SITES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partition": {"name": "dirichlet"}}, "partition: given dirichlet"),
        ({"scope": "pooled"}, "scope: given pooled"),
        ({"sites": None}, "sites: nothing given"),
    ],
)
def test_what_needs_all_rows_in_one_place_is_refused_without_them(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    from fedmce.data import dataset_of

    config = elsewhere(on_folders(exported(tmp_path / "sites", made_dataset())))
    with pytest.raises(ConfigError, match=message):
        dataset_of(RunConfig.model_validate(config.model_dump() | changes))


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    from fedmce.data import dataset_of

    config = on_folders(exported(tmp_path / "sites", made_dataset()))
    before = dataset_of(config).sites["ash"].features["sound"]
    array = np.load(tmp_path / "sites" / "ash" / "features" / "sound.npy")
    np.save(tmp_path / "sites" / "ash" / "features" / "sound.npy", array + 1)
    assert not np.array_equal(dataset_of(config).sites["ash"].features["sound"], before, equal_nan=True)


def test_folders_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder in it has a site.yaml"):
        read(tmp_path)
    exported(tmp_path / "sites", made_dataset())
    with pytest.raises(DataError, match=r"is a site folder itself; .* give .*sites"):
        read(tmp_path / "sites" / "ash")
    (tmp_path / "sites" / "ash").rename(tmp_path / "sites" / "other")  # the name counts, not the folder's
    assert "ash" in read(tmp_path / "sites").sites
    SiteFile.read(tmp_path / "sites" / "other").write(tmp_path / "sites" / "birch")
    with pytest.raises(DataError, match=r"birch and .*other: both are site 'ash'"):
        read(tmp_path / "sites")


def test_a_plan_without_folders_needs_modalities_and_classes() -> None:
    section = FoldersConfig.model_validate(
        {"modalities": [{"name": "labs", "kind": "tabular", "shape": [3]}], "classes": ["a", "b"]}
    )
    data = planned_dataset(section, ("x", "y"))
    assert [m.shape for m in data.modalities] == [(3,)]
    assert data.task.metric == "accuracy"
    with pytest.raises(ValueError, match="path: nothing given"):
        FoldersConfig.model_validate({})
