"""Real recordings of spoken digits (FSDD) paired with real handwritten digits (MNIST); speakers as sites."""

from __future__ import annotations

import gzip
import hashlib
import io
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import SoundMnistConfig
from fedmce.data import originals, pairs
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task, dataset
from fedmce.data.draws import draw_rows
from fedmce.data.spectra import BANDS, FRAMES, SAMPLE_RATE, cepstrum, log_mel
from fedmce.errors import ConfigError, DataError
from fedmce.streams import generator

PROVENANCE = {
    "image": "real: MNIST (LeCun, Cortes, Burges), 28x28 pixels",
    "audio": "real: Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0), 8 kHz",
    "labels": "real: digits read aloud and written",
    "sites": "real: one site per speaker; the pairing of a recording with an image of its digit is ours",
}
UNITS = {
    "log_mel": "log power per mel band, zero mean and unit variance per recording",
    "mfcc": "DCT of log power per mel band after zero mean and unit variance per recording",
}


@dataclass(frozen=True)
class _Pairs:
    """Rows of a pair list with their raw features: images uint8 (n, 28, 28), bands float32 (n, 20, 32)."""

    sample_ids: tuple[str, ...]
    official: npt.NDArray[np.str_]
    speakers: npt.NDArray[np.str_]
    digits: npt.NDArray[np.int64]
    images: npt.NDArray[np.uint8]
    bands: npt.NDArray[np.float32]


def read_idx(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Decode a gzipped idx file of images ``(n, 28, 28)`` or labels ``(n,)``; DataError if it is neither."""
    raw = gzip.decompress(content)
    magic, count = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")
    if magic == 2051:
        return np.frombuffer(raw, np.uint8, offset=16).reshape(count, 28, 28)
    if magic == 2049:
        return np.frombuffer(raw, np.uint8, offset=8)
    raise DataError(f"{name}: magic number {magic}; needed 2051 (images) or 2049 (labels)")


def read_wav(content: bytes, name: str) -> npt.NDArray[np.float64]:
    """Decode mono 16-bit PCM of 8 kHz to samples in [-1, 1]; DataError for any other format."""
    with wave.open(io.BytesIO(content)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise DataError(f"{name}: {file.getparams()}; needed mono, 16 bit, 8000 Hz")
        return np.asarray(np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0, dtype=np.float64)


def _bands(content: bytes, name: str) -> npt.NDArray[np.float32]:
    # Loudness differs 16-fold between speakers: with a global gain the patch would tell the site.
    patch = log_mel(read_wav(content, name))
    return np.asarray((patch - patch.mean()) / max(float(patch.std()), 1e-6), dtype=np.float32)


def _pair_list(name: str, data_dir: Path | None) -> str:
    file = f"{name}_pairs.csv"
    if (originals.folder("sound_mnist", data_dir) / file).is_file():
        return originals.read("sound_mnist", data_dir, file).decode()
    labels = [read_idx(originals.read("sound_mnist", data_dir, f), f) for f in pairs.LABELS]
    text = {"av6": pairs.av6_pairs, "smil": pairs.smil_pairs}[name](*labels)
    if hashlib.sha256(text.encode()).hexdigest() != originals.SHA256["sound_mnist"][file]:
        raise DataError(f"{file}: made anew it differs from the published list; needs numpy's present random streams")
    return text


@lru_cache(maxsize=2)
def _read(name: str, data_dir: Path | None) -> _Pairs:
    ids, split, speakers, digits, wavs, files, numbers = zip(
        *(line.split(",") for line in _pair_list(name, data_dir).splitlines()[1:]), strict=True
    )
    recordings = originals.read_packed("sound_mnist", data_dir)
    images = np.empty((len(ids), 28, 28), dtype=np.uint8)
    for file in pairs.IMAGES.values():
        rows = np.array([f == file for f in files])
        pixels = read_idx(originals.read("sound_mnist", data_dir, f"{file}.gz"), file)
        images[rows] = pixels[np.array(numbers, dtype=np.int64)[rows]]
    return _Pairs(
        sample_ids=ids,
        official=np.array(split),
        speakers=np.array(speakers),
        digits=np.array(digits, dtype=np.int64),
        images=images,
        bands=np.stack([_bands(recordings[wav], wav) for wav in wavs]),
    )


def _splits(table: _Pairs, speaker: str, config: SoundMnistConfig, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Row numbers of one speaker's train, validation and test rows."""
    own = table.speakers == speaker
    test, rest = np.flatnonzero(own & (table.official == "test")), np.flatnonzero(own & (table.official == "train"))
    none = np.empty(0, dtype=np.int64)
    if config.unseen_speaker is not None:
        if speaker == config.unseen_speaker:
            return {"train": none, "validation": none, "test": test}
        test = none
    # Validation is drawn first: it stays the same whatever the size of the training part.
    rng = generator(seed, "sound_mnist", config.pairs, "validation", speaker)
    drawn = draw_rows(table.digits[rest], config.validation_rows, rng, f"dataset.validation_rows at {speaker}")
    validation, rest = rest[drawn], np.delete(rest, drawn)
    rng = generator(seed, "sound_mnist", config.pairs, "train_rows", speaker)
    drawn = draw_rows(table.digits[rest], config.train_rows, rng, f"dataset.train_rows at {speaker}")
    return {"train": rest[drawn], "validation": validation, "test": test}


def _site(table: _Pairs, speaker: str, config: SoundMnistConfig, seed: int) -> SiteRows:
    parts = _splits(table, speaker, config, seed)
    rows = np.concatenate(list(parts.values()))
    audio = table.bands[rows] if config.feature == "log_mel" else cepstrum(table.bands[rows], BANDS)
    return SiteRows(
        name=speaker,
        sample_ids=tuple(table.sample_ids[row] for row in rows),
        targets=table.digits[rows],
        split=np.repeat(np.array(list(parts), dtype="<U10"), [len(part) for part in parts.values()]),
        features={
            "image": table.images[rows, None].astype(np.float32) / np.float32(255.0),
            "audio": audio[:, None].astype(np.float32),
        },
        available=np.ones((len(rows), 2), dtype=np.bool_),
    )


@dataset("sound_mnist")
def load(config: SoundMnistConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load pairs of recordings and images; one site per speaker, tested on FSDD's official split.

    Args:
        config: pair list, audio feature, rows per speaker, and the speaker that never trains, if any.
        data_dir: holds ``sound_mnist/`` with the archive of recordings and the four MNIST files; pair lists
            that are not there are made anew.
        seed: root of the draws of training and validation rows.

    Returns:
        Modalities ``image`` (1, 28, 28) and ``audio`` (1, 20, 32). With ``unseen_speaker`` that site holds
        only its test rows, and no other site holds any.

    Raises:
        DataError: a file is absent or not the original.
        ConfigError: no such speaker, or more rows wanted than a speaker has.
    """
    table = _read(config.pairs, data_dir)
    speakers = list(dict.fromkeys(table.speakers.tolist()))
    if config.unseen_speaker is not None and config.unseen_speaker not in speakers:
        raise ConfigError(
            f"dataset.unseen_speaker: {config.unseen_speaker!r} given; {config.pairs} has {', '.join(speakers)}"
        )
    return FederatedDataset(
        name="sound_mnist",
        modalities=(
            Modality("image", "image", (1, 28, 28), "ink per pixel, 0 to 1", pooled_axes=(0, 1, 2)),
            Modality("audio", "spectrogram", (1, BANDS, FRAMES), UNITS[config.feature], pooled_axes=(0, 2)),
        ),
        task=Task(classes=tuple(str(digit) for digit in range(10))),
        sites={speaker: _site(table, speaker, config, seed) for speaker in speakers},
        provenance=PROVENANCE,
        caution=("recording and image of a pair come from different people: the pairing is artificial",),
    )
