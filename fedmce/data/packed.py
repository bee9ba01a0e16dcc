"""Archives whose content is compared instead of their bytes, since the same content is packed in several ways."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
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

LEAVES_ARCHIVES = ("leaves100.zip",)
LEAVES_SHA256 = {
    "data_Mar_64.txt": "7579a980f20f9cb6cccbf4b670ca87da9f7059f1b4c361cbc5c4d3f214a012b3",
    "data_Sha_64.txt": "889a44fe1232650abd29328b79f29725cef6efa0258c11bf1faeba1d203f3feb",
    "data_Tex_64.txt": "ebfd038ea9332157856eb141ffcc1d171422a42a0115bccda180bf36e2b65c29",
}

HAPT_ARCHIVES = ("hapt_labelled_signals.npz",)
# sha256 of each array file inside the npz: compression differs between versions of zlib, the arrays must not.
HAPT_SHA256 = {
    "seg.npy": "1f5623d1dfac6952716ed71eb7e0bd6be361a4b745a81abdfdcf19f72df2962c",
    "acc_d1.npy": "2eac939957877d47df424f3bb2de43329b99fc3dc58c334efd767081ad459b2c",
    "gyro_d1.npy": "dfd2649b7f1df191fc2dd8ae21602c7654f8d108cf9545d96d6c9aec7936b476",
    "grav_d2.npy": "5117e291466f40844e8a16c3a4daa3423ad0438a6ecfbea5a200dfbdc90319a0",
}
HAPT_RECIPE = (
    "the owners' 128 MB of text (UCI 341) must be made into one file, see `python -m fedmce.data.builders.hapt` and "
    "docs/data.md"
)


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


def leaf_tables(path: Path) -> dict[str, bytes]:
    """The three tables of leaves100 by bare name; they may lie in a folder of the zip or in a zip inside it."""
    return _members(path, LEAVES_SHA256, "run `fedmce data fetch leaves100`")


def hapt_arrays(path: Path) -> dict[str, bytes]:
    """The four array files of hapt's npz by name (``seg.npy``, ...), each in numpy's format."""
    return _members(path, HAPT_SHA256, HAPT_RECIPE)


def _members(path: Path, promised: dict[str, str], remedy: str) -> dict[str, bytes]:
    """Members of a zip by bare name; DataError unless all are there with the promised sha256."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = dict(_wanted(archive, promised))
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path}: not a whole zip file ({error}). {remedy}") from error
    for name, digest in promised.items():
        if name not in found:
            raise DataError(f"{path}: {name} is not in it; needed {', '.join(promised)}. {remedy}")
        other = hashlib.sha256(found[name]).hexdigest()
        if other != digest:
            raise DataError(f"{path}: sha256 of {name} {other}; needed {digest}. it is not the owners'. {remedy}")
    return found


def _wanted(archive: zipfile.ZipFile, names: dict[str, str], depth: int = 1) -> Iterator[tuple[str, bytes]]:
    for member in archive.namelist():
        bare = member.rsplit("/", 1)[-1]
        if bare in names:
            yield bare, archive.read(member)
        elif bare.endswith(".zip") and depth:
            # Some hosts wrap the owners' zip into one of their own.
            with zipfile.ZipFile(io.BytesIO(archive.read(member))) as inner:
                yield from _wanted(inner, names, depth - 1)


# Data set -> names that its archive may have, and what unpacks and compares it.
PACKED: dict[str, tuple[tuple[str, ...], Callable[[Path], dict[str, bytes]]]] = {
    "sound_mnist": (FSDD_ARCHIVES, recordings),
    "leaves100": (LEAVES_ARCHIVES, leaf_tables),
    "hapt": (HAPT_ARCHIVES, hapt_arrays),
}
