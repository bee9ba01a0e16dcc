"""Owners' original files: where they lie under ``data_dir``, and their checksums.

Copies under the same names are not always original; a file that differs from its checksum is refused.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from fedmce.errors import DataError

FSDD_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
# Both hold the same 3,000 recordings: a plain repack, and the archive as its host makes it.
FSDD_ARCHIVES = ("fsdd_recordings.zip", f"free-spoken-digit-dataset-{FSDD_COMMIT}.zip")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RECORDINGS = tuple(sorted(f"{d}_{s}_{i}.wav" for d in range(10) for s in SPEAKERS for i in range(50)))
# sha256 over the bytes of all 3,000 wav files in string order of their names: hosts pack archives anew
# from time to time, so an archive's own checksum says nothing lasting.
RECORDINGS_SHA256 = "ddb17656a0bca4c5ddace082be188ca630516dc2ef1110afe3c4e9cc71173de4"

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
    remedy = f"run `fedmce data fetch {dataset}` or give data_dir=DIR, a folder that holds {dataset}/"
    if data_dir is None:
        raise DataError(f"data set {dataset}: no data_dir given; needs its downloaded files. {remedy}")
    if not (data_dir / dataset).is_dir():
        raise DataError(f"data set {dataset}: looked in {data_dir / dataset}, no such folder. {remedy}")
    return data_dir / dataset


def absent(dataset: str, where: Path, names: tuple[str, ...]) -> DataError:
    """The error for a file that is not there, under any of its names."""
    return DataError(
        f"data set {dataset}: looked in {where}, no {' or '.join(names)}. "
        f"run `fedmce data fetch {dataset}` or give data_dir=DIR, a folder that holds {dataset}/"
    )


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


def recordings(path: Path) -> dict[str, bytes]:
    """The 3,000 wav files of an archive by bare name, after their joint checksum was compared.

    Args:
        path: a zip with members ``.../recordings/{digit}_{speaker}_{index}.wav``.

    Raises:
        DataError: no whole zip, members missing, or other recordings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.rsplit("/", 1)[-1]: name for name in archive.namelist() if "recordings/" in name}
            missing = [name for name in RECORDINGS if name not in members]
            if missing:
                raise DataError(
                    f"{path}: {len(missing)} of 3,000 recordings are not in it, first recordings/{missing[0]}"
                )
            wavs = {name: archive.read(members[name]) for name in RECORDINGS}
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path}: not a whole zip file ({error}). run `fedmce data fetch sound_mnist`") from error
    digest = hashlib.sha256()
    for name in RECORDINGS:
        digest.update(wavs[name])
    if digest.hexdigest() != RECORDINGS_SHA256:
        raise DataError(f"{path}: sha256 over its recordings {digest.hexdigest()}; needed {RECORDINGS_SHA256}")
    return wavs


def fsdd(data_dir: Path | None) -> dict[str, bytes]:
    """Recordings from whichever of the known archives lies in ``data_dir/sound_mnist``."""
    where = folder("sound_mnist", data_dir)
    for name in FSDD_ARCHIVES:
        if (where / name).is_file():
            return recordings(where / name)
    raise absent("sound_mnist", where, FSDD_ARCHIVES)


def missing(dataset: str, data_dir: Path | None) -> tuple[str, ...]:
    """Names of files that a data set still needs (existence only; contents are compared on load).

    Args:
        dataset: registry name; an embedded set needs none.
        data_dir: folder that holds one folder per data set, or None.
    """
    where = None if data_dir is None else data_dir / dataset
    needed: list[tuple[str, ...]] = [(name,) for name in SHA256.get(dataset, {}) if not name.endswith("_pairs.csv")]
    needed += [FSDD_ARCHIVES] if dataset == "sound_mnist" else []
    return tuple(names[-1] for names in needed if where is None or not any((where / name).is_file() for name in names))
