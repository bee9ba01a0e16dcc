"""Real speech and handwriting: decoding, official split, draws by seed, the unseen speaker."""

import gzip
import hashlib
import io
import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fedmce.config.schema import SoundMnistConfig
from fedmce.data import FederatedDataset, load_dataset, originals, packed, pairs, sound_mnist
from fedmce.data.spectra import cosines
from fedmce.errors import ConfigError, DataError
from tests.data_location import DATA_DIR, needs


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def test_wav_and_idx_decode_what_was_encoded() -> None:
    samples = np.linspace(-0.5, 0.5, 100)
    np.testing.assert_allclose(sound_mnist.read_wav(wav(samples), "x"), samples, atol=1e-4)
    images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
    content = gzip.compress(struct.pack(">IIII", 2051, 2, 28, 28) + images.tobytes())
    np.testing.assert_array_equal(sound_mnist.read_idx(content, "x"), images)
    np.testing.assert_array_equal(
        sound_mnist.read_idx(gzip.compress(struct.pack(">II", 2049, 3) + b"\1\2\3"), "x"), [1, 2, 3]
    )


def test_another_sampling_rate_or_file_format_is_refused() -> None:
    with pytest.raises(DataError, match="framerate=16000"):
        sound_mnist.read_wav(wav(np.zeros(10), 16000), "x")
    with pytest.raises(DataError, match="magic number 7"):
        sound_mnist.read_idx(gzip.compress(struct.pack(">II", 7, 0)), "x")


def test_a_louder_recording_gives_the_same_patch() -> None:
    sound = np.random.default_rng(0).standard_normal(8250) / 100
    quiet, loud = (sound_mnist._bands(wav(gain * sound), "x") for gain in (1, 16))
    np.testing.assert_allclose(loud, quiet, atol=0.02)
    assert abs(quiet.mean()) < 1e-5
    assert quiet.std() == pytest.approx(1, abs=1e-5)


def test_an_archive_with_missing_or_other_recordings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="not a whole zip"):
        packed.recordings(path)
    for count, message in (
        (2999, r"1 of 3,000 recordings .* recordings/9_yweweler_9.wav"),
        (3000, "sha256 over its recordings"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name in packed.RECORDINGS[:count]:
                archive.writestr(f"top/recordings/{name}", b"x")
        with pytest.raises(DataError, match=message):
            packed.recordings(path)


def test_without_files_the_message_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fedmce data fetch sound_mnist.*data_dir=DIR") as caught:
        load_dataset(SoundMnistConfig(), tmp_path, 0)
    assert str(tmp_path / "sound_mnist") in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.fixture(scope="module")
def data() -> FederatedDataset:
    return load_dataset(SoundMnistConfig(), DATA_DIR, 0)


def counts(data: FederatedDataset) -> dict[str, list[int]]:
    return {
        name: [int((s.split == part).sum()) for part in ("train", "validation", "test")]
        for name, s in data.sites.items()
    }


@needs("sound_mnist")
def test_the_pair_lists_made_from_the_labels_equal_the_published_ones_byte_for_byte() -> None:
    labels = [sound_mnist.read_idx(originals.read("sound_mnist", DATA_DIR, name), name) for name in pairs.LABELS]
    assert DATA_DIR is not None
    for name, make in (("av6", pairs.av6_pairs), ("smil", pairs.smil_pairs)):
        made = hashlib.sha256(make(*labels).encode()).hexdigest()
        assert made == originals.SHA256["sound_mnist"][f"{name}_pairs.csv"]


@needs("sound_mnist")
def test_six_speakers_train_on_drawn_rows_and_are_tested_on_the_official_fifty(data: FederatedDataset) -> None:
    assert counts(data) == {key: [100, 50, 50] for key in packed.SPEAKERS}
    for site in data.sites.values():
        for part, each in (("train", 10), ("validation", 5), ("test", 5)):
            assert set(np.bincount(site.targets[site.split == part], minlength=10)) == {each}
        numbers = np.array([int(id_[4:]) % 50 for id_ in site.sample_ids])
        np.testing.assert_array_equal(numbers < 5, site.split == "test")
        assert np.isfinite(site.features["audio"]).all()
        assert (site.features["image"].min(), site.features["image"].max()) == (0, 1)


@needs("sound_mnist")
def test_validation_rows_do_not_depend_on_train_rows_and_null_takes_all_that_are_left(data: FederatedDataset) -> None:
    whole = load_dataset(SoundMnistConfig(train_rows=None), DATA_DIR, 0)
    assert counts(whole)["theo"] == [400, 50, 50]
    for name, site in data.sites.items():
        rows = [
            {i for i, s in zip(d.sites[name].sample_ids, d.sites[name].split, strict=True) if s != "train"}
            for d in (data, whole)
        ]
        assert rows[0] == rows[1]
        assert set(site.sample_ids) < set(whole.sites[name].sample_ids)


@needs("sound_mnist")
def test_the_cepstrum_is_the_cosine_transform_of_the_bands(data: FederatedDataset) -> None:
    cepstral = load_dataset(SoundMnistConfig(feature="mfcc"), DATA_DIR, 0)
    bands, coefficients = (d.sites["lucas"].features["audio"][:, 0] for d in (data, cepstral))
    np.testing.assert_allclose(cosines(20, 20).T @ coefficients, bands, atol=1e-4)


@needs("sound_mnist")
def test_smil_has_three_speakers_and_its_own_split() -> None:
    smil = load_dataset(SoundMnistConfig(pairs="smil", train_rows=None), DATA_DIR, 0)
    assert counts(smil) == {key: [300, 50, 150] for key in ("jackson", "nicolas", "theo")}


@needs("sound_mnist")
def test_an_unseen_speaker_is_the_only_test_and_never_trains() -> None:
    unseen = counts(load_dataset(SoundMnistConfig(unseen_speaker="theo"), DATA_DIR, 0))
    assert unseen.pop("theo") == [0, 0, 50]
    assert set(map(tuple, unseen.values())) == {(100, 50, 0)}
    with pytest.raises(ConfigError, match=r"dataset.unseen_speaker: 'anna' given; av6 has george, jackson"):
        load_dataset(SoundMnistConfig(unseen_speaker="anna"), DATA_DIR, 0)


@needs("sound_mnist")
def test_more_rows_than_a_speaker_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.train_rows at george: 401 rows given; needs at most 400"):
        load_dataset(SoundMnistConfig(train_rows=401), DATA_DIR, 0)


@needs("sound_mnist")
def test_lists_that_are_not_there_are_made_anew_and_a_changed_image_file_is_refused(
    tmp_path: Path, data: FederatedDataset
) -> None:
    assert DATA_DIR is not None
    folder = tmp_path / "sound_mnist"
    folder.mkdir()
    for path in (DATA_DIR / "sound_mnist").iterdir():
        if path.suffix != ".csv":
            (folder / path.name).symlink_to(path)
    again = load_dataset(SoundMnistConfig(), tmp_path, 0)
    np.testing.assert_array_equal(again.sites["theo"].features["image"], data.sites["theo"].features["image"])
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: sha256"):
        sound_mnist._read("smil", tmp_path)
