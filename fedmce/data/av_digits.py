"""The embedded data set: real handwritten digits with synthetic spoken digits, six voices as sites.

How the file was made stands in :mod:`fedmce.data.builders.av_digits`; this module only reads it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import AvDigitsConfig
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task, dataset
from fedmce.data.draws import draw_rows, stratified_split
from fedmce.streams import generator

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.25
MODALITIES = (
    Modality("image", "image", (1, 8, 8), "ink per pixel, 0 to 1", pooled_axes=(0, 1, 2)),
    Modality(
        "audio",
        "spectrogram",
        (1, 13, 32),
        "mel cepstral coefficient of log power (no unit)",
        pooled_axes=(0, 2),
        real=False,
    ),
)
PROVENANCE = {
    "image": "real: UCI optical recognition of handwritten digits, 1,797 images of 8x8 pixels, from scikit-learn",
    "audio": "synthetic: digit words spoken by espeak-ng in six voices; rate, pitch, loudness and noise vary",
    "labels": "real: the digits that the writers were asked to write; speech was made for the same digit",
    "sites": "synthetic: one site per synthetic voice; images were dealt to voices at random",
}
CAUTION = (
    "the speech is synthetic: scores with audio say how the method works, not how well real speech is recognised",
)


@lru_cache(maxsize=1)
def assets() -> dict[str, npt.NDArray[Any]]:
    """Arrays of the embedded file; rows in the order of scikit-learn's bundle.

    Returns:
        ``image`` uint8 ``(1797, 8, 8)`` 0..16, ``mfcc`` float16 ``(1797, 13, 32)``, ``digit`` and ``voice`` uint8
        ``(1797,)``, ``voices`` (names of sites), and how each word was spoken (``rate``, ``pitch``, ...).
    """
    with (
        (files("fedmce.data") / "assets" / "av_digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as npz,
    ):
        return {key: npz[key] for key in npz.files}


def sample_id(row: int) -> str:
    """Name of a row: the number of its image in the UCI file."""
    return f"uci-{row:04d}"


def _noisy(
    values: npt.NDArray[np.float32], spread: npt.NDArray[np.floating], ids: list[str], purpose: str
) -> npt.NDArray[np.float32]:
    # Keyed by the sample alone, not by the run's seed: the data set stays the same over seeds.
    drawn = [
        generator(0, "av_digits", purpose, name).standard_normal(values.shape[1:], dtype=np.float32) for name in ids
    ]
    return (values + np.stack(drawn) * spread).astype(np.float32)


def _features(rows: npt.NDArray[np.int64], config: AvDigitsConfig) -> dict[str, npt.NDArray[np.float32]]:
    image = assets()["image"].astype(np.float32)[:, None] / 16.0
    audio = assets()["mfcc"].astype(np.float32)[:, None]
    ids = [sample_id(int(row)) for row in rows]
    features = {"image": image[rows], "audio": audio[rows]}
    if config.image_noise:
        features["image"] = _noisy(features["image"], config.image_noise * image.std(), ids, "image_noise")
    if config.audio_noise:
        spread = config.audio_noise * audio.std(axis=(0, 3), keepdims=True)[0]
        features["audio"] = _noisy(features["audio"], spread, ids, "audio_noise")
    return features


def _site(name: str, rows: npt.NDArray[np.int64], config: AvDigitsConfig, seed: int) -> SiteRows:
    targets = assets()["digit"].astype(np.int64)[rows]
    split = stratified_split(targets, VALIDATION_SHARE, TEST_SHARE, generator(seed, "av_digits", "split", name))
    train = np.flatnonzero(split == "train")
    drawn = generator(seed, "av_digits", "train_rows", name)
    keep = split != "train"
    keep[train[draw_rows(targets[train], config.train_rows, drawn, f"dataset.train_rows at {name}")]] = True
    rows, targets, split = rows[keep], targets[keep], split[keep]
    return SiteRows(
        name=name,
        sample_ids=tuple(sample_id(int(row)) for row in rows),
        targets=targets,
        split=split,
        features=_features(rows, config),
        available=np.ones((len(rows), len(MODALITIES)), dtype=np.bool_),
    )


def _provenance(config: AvDigitsConfig) -> dict[str, str]:
    added = {"image": config.image_noise, "audio": config.audio_noise}
    notes = {name: f"; noise of {size:g} standard deviations added" for name, size in added.items() if size}
    return {key: text + notes.get(key, "") for key, text in PROVENANCE.items()}


@dataset("av_digits")
def load(config: AvDigitsConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load the embedded set: 60 % train, 15 % validation, 25 % test of each digit at each site.

    Args:
        config: size of the training part and noise added on top of the file's.
        data_dir: not used; the file is part of the package.
        seed: root of the splits; the features do not depend on it.

    Returns:
        Six sites of 299 or 300 rows, modalities ``image`` (1, 8, 8) and ``audio`` (1, 13, 32).

    Raises:
        ConfigError: ``train_rows`` exceeds what a site has.
    """
    voice, names = assets()["voice"], [str(name) for name in assets()["voices"]]
    sites = {name: _site(name, np.flatnonzero(voice == i), config, seed) for i, name in enumerate(names)}
    return FederatedDataset(
        name="av_digits",
        modalities=MODALITIES,
        task=Task(classes=tuple(str(digit) for digit in range(10))),
        sites=sites,
        provenance=_provenance(config),
        caution=CAUTION,
    )
