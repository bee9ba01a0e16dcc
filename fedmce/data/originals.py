"""Owners' original files: where they lie under ``data_dir``, and their checksums.

Copies under the same names are not always original; a file that differs from its checksum is refused. Where a
host packs the same content into other bytes from time to time, the content is compared (:mod:`fedmce.data.packed`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fedmce.data import packed
from fedmce.errors import DataError

SHA256: dict[str, dict[str, str]] = {
    "sound_mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "av6_pairs.csv": "d771fc71ef763f08a424444456f23091bf9db9acd0e92c5fcce715be005091a0",
        "smil_pairs.csv": "4d3c8f82a94813718a0d7f458c4cd03db28ede97eb18d58ef071302c910d2796",
    },
    "heart_disease": {
        "processed.cleveland.data": "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
        "processed.hungarian.data": "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
        "processed.switzerland.data": "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314",
        "processed.va.data": "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
    },
}


def folder(dataset: str, data_dir: Path | None) -> Path:
    """Folder of a data set; DataError if no ``data_dir`` was given or the folder is absent."""
    if data_dir is None:
        raise DataError(f"data set {dataset}: no data_dir given; needs its downloaded files. {_remedy(dataset)}")
    if not (data_dir / dataset).is_dir():
        raise DataError(f"data set {dataset}: looked in {data_dir / dataset}, no such folder. {_remedy(dataset)}")
    return data_dir / dataset


def absent(dataset: str, where: Path, names: tuple[str, ...]) -> DataError:
    """The error for a file that is not there, under any of its names."""
    return DataError(f"data set {dataset}: looked in {where}, no {' or '.join(names)}. {_remedy(dataset)}")


def _remedy(dataset: str) -> str:
    get = f"{packed.HAPT_RECIPE}," if dataset == "hapt" else f"run `fedmce data fetch {dataset}`"
    return f"{get} or give data_dir=DIR, a folder that holds {dataset}/"


def read(dataset: str, data_dir: Path | None, name: str) -> bytes:
    """Content of an original file, after its checksum was compared.

    Args:
        dataset: registry name of the data set.
        data_dir: folder that holds one folder per data set.
        name: file name, a key of ``SHA256[dataset]``.

    Raises:
        DataError: absent, or not the file that was promised.
    """
    path = folder(dataset, data_dir) / name
    if not path.is_file():
        raise absent(dataset, path.parent, (name,))
    content = path.read_bytes()
    found, promised = hashlib.sha256(content).hexdigest(), SHA256[dataset][name]
    if found != promised:
        raise DataError(
            f"{path}: sha256 {found}; needed {promised}. it is not the owners' file: remove it and run `fedmce data fetch {dataset}`"
        )
    return content


def read_packed(dataset: str, data_dir: Path | None) -> dict[str, bytes]:
    """Members of a data set's archive, by bare name, after their content was compared.

    Args:
        dataset: a key of ``packed.PACKED``.
        data_dir: folder that holds one folder per data set.

    Raises:
        DataError: no archive under any of its names, not whole, or with other content.
    """
    where, (names, unpack) = folder(dataset, data_dir), packed.PACKED[dataset]
    for name in names:
        if (where / name).is_file():
            return unpack(where / name)
    raise absent(dataset, where, names)


def missing(dataset: str, data_dir: Path | None) -> tuple[str, ...]:
    """Names of files that a data set still needs (existence only; contents are compared on load).

    Args:
        dataset: registry name; an embedded set needs none.
        data_dir: folder that holds one folder per data set, or None.
    """
    where = None if data_dir is None else data_dir / dataset
    needed: list[tuple[str, ...]] = [(name,) for name in SHA256.get(dataset, {}) if not name.endswith("_pairs.csv")]
    needed += [packed.PACKED[dataset][0]] if dataset in packed.PACKED else []
    return tuple(names[-1] for names in needed if where is None or not any((where / name).is_file() for name in names))
