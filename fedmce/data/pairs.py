"""The two lists that pair a recording with an image, made from the data themselves.

``av6``: every recording, FSDD's official split (index 0-4 test), an image drawn without replacement.
``smil``: three speakers, the k-th image meets the k-th sound of a digit, in string order of file names.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fedmce.data.packed import SPEAKERS

HEADER = "sample_id,split,speaker,digit,wav,mnist_file,mnist_index"
IMAGES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
LABELS = ("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
AV6_SEED = 20250301
SMIL_SPEAKERS = ("jackson", "nicolas", "theo")
SMIL_TRAIN, SMIL_TEST, SMIL_FIRST_TRAIN_INDEX = 105, 45, 15


def _text(rows: Iterator[str]) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def av6_pairs(train_labels: npt.NDArray[np.uint8], test_labels: npt.NDArray[np.uint8]) -> str:
    """CSV of 3,000 pairs of the six speakers.

    Args:
        train_labels: labels of MNIST's training images, ``(60000,)``.
        test_labels: labels of MNIST's test images, ``(10000,)``.
    """
    rng = np.random.default_rng(AV6_SEED)
    labels = {"train": train_labels, "test": test_labels}
    queues = {(s, d): iter(rng.permutation(np.flatnonzero(labels[s] == d))) for s in labels for d in range(10)}

    def rows() -> Iterator[str]:
        recordings = [(s, d, i) for s in SPEAKERS for d in range(10) for i in range(50)]
        for number, (speaker, digit, index) in enumerate(recordings):
            split = "test" if index < 5 else "train"
            image = next(queues[split, digit])
            yield f"av6-{number:04d},{split},{speaker},{digit},{digit}_{speaker}_{index}.wav,{IMAGES[split]},{image}"

    return _text(rows())


def _smil_sounds(split: str, digit: int) -> list[str]:
    indices = range(SMIL_FIRST_TRAIN_INDEX, 50) if split == "train" else range(SMIL_FIRST_TRAIN_INDEX)
    # Both splits run speaker by speaker: for these three names that is plain string order, too.
    return [name for s in SMIL_SPEAKERS for name in sorted(f"{digit}_{s}_{i}.wav" for i in indices)]


def _smil_images(split: str, labels: npt.NDArray[np.uint8], digit: int) -> list[int]:
    # String order (1, 10, 100, 1000, ...), as a folder of files named by number is listed.
    ordered = sorted(np.flatnonzero(labels == digit).tolist(), key=lambda index: f"{index}.png")
    return ordered[:SMIL_TRAIN] if split == "train" else ordered[-SMIL_TEST:]


def smil_pairs(train_labels: npt.NDArray[np.uint8], test_labels: npt.NDArray[np.uint8]) -> str:
    """CSV of 1,500 pairs of three speakers; arguments as for :func:`av6_pairs`."""

    def rows() -> Iterator[str]:
        number = 0
        for split, labels in (("train", train_labels), ("test", test_labels)):
            for digit in range(10):
                images, sounds = _smil_images(split, labels, digit), _smil_sounds(split, digit)
                for image, wav in zip(images, sounds, strict=True):
                    speaker = wav.split("_")[1]
                    yield f"smil-{number:04d},{split},{speaker},{digit},{wav},{IMAGES[split]},{image}"
                    number += 1

    return _text(rows())
