"""Public addresses of the owners' original files.

The checksums decide what is accepted; an address only says where to ask. Several addresses of one file are
tried in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedmce.data.originals import SHA256
from fedmce.data.packed import FSDD_ARCHIVES, FSDD_COMMIT, HAPT_ARCHIVES, LEAVES_ARCHIVES

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FSDD_ARCHIVE = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{FSDD_COMMIT}.zip"
UCI_HEART = "https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease/"
UCI_LEAVES = (
    "https://archive.ics.uci.edu/static/public/241/one+hundred+plant+species+leaves+data+set.zip",
    "https://archive.ics.uci.edu/ml/machine-learning-databases/00241/100%20leaves%20plant%20species.zip",
)


@dataclass(frozen=True)
class Source:
    """One file to download.

    Attributes:
        file: name under ``data_dir/<data set>/``.
        urls: http(s) addresses of the same file, tried in order; none where nobody hosts it.
        sha256: of the whole file; None for an archive whose content is compared instead (:mod:`fedmce.data.packed`).
    """

    file: str
    urls: tuple[str, ...]
    sha256: str | None


SOURCES: dict[str, tuple[Source, ...]] = {
    "av_digits": (),  # embedded
    "sound_mnist": (
        *(
            Source(file, tuple(mirror + file for mirror in MNIST_MIRRORS), digest)
            for file, digest in SHA256["sound_mnist"].items()
            if file.endswith(".gz")
        ),
        Source(FSDD_ARCHIVES[-1], (FSDD_ARCHIVE,), None),
    ),
    "heart_disease": tuple(
        Source(file, (UCI_HEART + file,), digest) for file, digest in SHA256["heart_disease"].items()
    ),
    "leaves100": (Source(LEAVES_ARCHIVES[-1], UCI_LEAVES, None),),
    "hapt": (Source(HAPT_ARCHIVES[-1], (), None),),  # made from the owners' text by fedmce.data.builders.hapt
}
