"""The embedded data set: real images, reproducible speech, splits that stay put."""

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from fedmce.config.schema import AvDigitsConfig
from fedmce.data import FederatedDataset, av_digits, load_dataset
from fedmce.data.builders import av_digits as builder
from fedmce.errors import ConfigError

ASSET = files("fedmce.data") / "assets" / "av_digits.npz"


@pytest.fixture(scope="module")
def data() -> FederatedDataset:
    return load_dataset(AvDigitsConfig(), None, 0)


def test_the_file_is_at_most_six_megabytes_and_holds_no_pickled_object() -> None:
    assert len(ASSET.read_bytes()) <= 6_000_000
    assert all(array.dtype.kind != "O" for array in av_digits.assets().values())


def test_every_real_image_is_used_exactly_once_and_equals_the_original(data: FederatedDataset) -> None:
    original = pytest.importorskip("sklearn.datasets").load_digits()
    clean = load_dataset(AvDigitsConfig(image_noise=0), None, 0)
    found = {
        id_: i for site in clean.sites.values() for id_, i in zip(site.sample_ids, site.features["image"], strict=True)
    }
    assert len(found) == sum(len(site.sample_ids) for site in data.sites.values()) == 1797
    for row, image in enumerate(original.images):
        np.testing.assert_array_equal(found[av_digits.sample_id(row)][0] * 16, image)
    np.testing.assert_array_equal(av_digits.assets()["digit"], original.target)


def test_six_sites_of_three_hundred_rows_hold_every_digit_alike(data: FederatedDataset) -> None:
    counts = np.array([np.bincount(site.targets, minlength=10) for site in data.sites.values()])
    assert set(counts.sum(axis=1)) == {299, 300}
    assert len(counts) == 6
    assert (np.ptp(counts, axis=0) <= 1).all()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed (apt-get install espeak-ng)")
def test_the_builder_makes_the_committed_speech_again() -> None:
    asset = av_digits.assets()
    here, there = builder.espeak_version(), str(asset["espeak_version"])
    if here != there:
        pytest.skip(f"espeak-ng {here} is installed; the file was made with {there}")
    voices = [str(voice) for voice in asset["voices"]]
    np.testing.assert_array_equal(builder.deal(asset["digit"]), asset["voice"])
    for row in (0, 1, 2, 3, 4, 5, 900, 1796):
        made = builder.utter(row, int(asset["digit"][row]), voices[int(asset["voice"][row])])
        # Half a float16 step of slack: Fourier transforms may differ in the last bit between numpy builds.
        np.testing.assert_allclose(made.astype(float), asset["mfcc"][row].astype(float), rtol=2e-3, atol=2e-3)
        assert builder.draw(row).pitch == asset["pitch"][row]


def test_noise_has_unit_power_and_brown_noise_lies_low() -> None:
    white, brown = (builder.noise(8250, colour, np.random.default_rng(0)) for colour in (0.0, 2.0))
    for sound in (white, brown):
        assert np.mean(sound**2) == pytest.approx(1)
    low = [
        (np.abs(np.fft.rfft(sound)[:100]) ** 2).sum() / (np.abs(np.fft.rfft(sound)) ** 2).sum()
        for sound in (white, brown)
    ]
    assert low[0] < 0.1 < 0.9 < low[1]


def test_each_site_is_split_sixty_fifteen_twenty_five_by_digit(data: FederatedDataset) -> None:
    for site in data.sites.values():
        assert {s: int((site.split == s).sum()) for s in ("train", "validation", "test")} == pytest.approx(
            {"train": 180, "validation": 42, "test": 78}, abs=5
        )
        assert set(site.targets[site.split == "test"]) == set(range(10))


def test_removing_a_site_moves_nobody_elses_rows(data: FederatedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = dict(av_digits.assets())
    asset["voices"], asset["voice"] = asset["voices"][1:], asset["voice"].astype(int) - 1
    monkeypatch.setattr(av_digits, "assets", lambda: asset)
    fewer = av_digits.load(AvDigitsConfig(), None, 0)
    _first, *others = data.sites
    assert list(fewer.sites) == others
    for name in others:
        np.testing.assert_array_equal(fewer.sites[name].split, data.sites[name].split)
        np.testing.assert_array_equal(fewer.sites[name].features["image"], data.sites[name].features["image"])


def test_equal_arguments_give_the_same_data_and_another_seed_another_split(data: FederatedDataset) -> None:
    again = av_digits.load(AvDigitsConfig(), None, 0)
    other = av_digits.load(AvDigitsConfig(), None, 1)
    for name, site in data.sites.items():
        np.testing.assert_array_equal(again.sites[name].features["audio"], site.features["audio"])
        np.testing.assert_array_equal(again.sites[name].split, site.split)
        np.testing.assert_array_equal(other.sites[name].features["image"], site.features["image"])
        assert (other.sites[name].split != site.split).any()


def test_train_rows_leaves_validation_and_test_alone_and_nests(data: FederatedDataset) -> None:
    small, large = (load_dataset(AvDigitsConfig(train_rows=n), None, 0) for n in (20, 50))
    for name, whole in data.sites.items():
        ids = [
            {i for i, s in zip(d.sites[name].sample_ids, d.sites[name].split, strict=True) if s == "train"}
            for d in (small, large)
        ]
        assert (len(ids[0]), len(ids[1])) == (20, 50)
        assert ids[0] < ids[1]
        site = small.sites[name]
        assert set(np.bincount(site.targets[site.split == "train"])) == {2}
        for split in ("validation", "test"):
            assert (site.split == split).sum() == (whole.split == split).sum()


def test_more_train_rows_than_a_site_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.train_rows at us_f3: 500 rows given; needs at most 180"):
        load_dataset(AvDigitsConfig(train_rows=500), None, 0)


def test_noise_of_a_sample_has_the_stated_size_and_depends_on_nothing_but_the_sample(data: FederatedDataset) -> None:
    clean = load_dataset(AvDigitsConfig(image_noise=0, audio_noise=0), None, 0)
    noisy = load_dataset(AvDigitsConfig(image_noise=0.5, audio_noise=2, train_rows=20), None, 0)
    asset = av_digits.assets()
    spread = {"image": (asset["image"] / 16.0).std(), "audio": asset["mfcc"].astype(float).std(axis=(0, 2))[:, None]}
    for name, site in noisy.sites.items():
        rows = [clean.sites[name].sample_ids.index(id_) for id_ in site.sample_ids]
        for modality, size in (("image", 0.5), ("audio", 2.0)):
            added = (site.features[modality] - clean.sites[name].features[modality][rows]) / spread[modality]
            assert added.std() == pytest.approx(size, rel=0.05)
            assert abs(added.mean()) < 0.1 * size


def test_each_modality_says_whether_it_is_real(data: FederatedDataset) -> None:
    assert [(m.name, m.real) for m in data.modalities] == [("image", True), ("audio", False)]
    assert data.provenance["audio"].startswith("synthetic")
    assert data.provenance["image"].startswith("real")
    assert "noise of 0.65 standard deviations added" in data.provenance["image"]


def test_loaded_arrays_are_shared_and_cannot_be_changed(data: FederatedDataset) -> None:
    assert load_dataset(AvDigitsConfig(), Path("anywhere"), 0).name == data.name
    assert load_dataset(AvDigitsConfig(), None, 0) is data
    with pytest.raises(ValueError, match="read-only"):
        data.sites["us_f3"].features["image"][0] = 0
