"""What a file of one sample says of its own shape, read from its header before anything is decoded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmce.folders.layout import ARRAYS, AUDIO, IMAGES, VOLUMES, FolderModality
from fedmce.folders.npy_header import NpyError, read_npy_header

Shape = tuple[int, ...]


class BombError(Exception):
    """A file whose header promises more than any sample needs."""


def probe(path: Path, modality: FolderModality) -> tuple[Shape, Shape] | None:
    """Shape of the file, and the shape that is needed of it; None where only decoding tells.

    Axes that ``fit: resize`` brings to size, and the channels of an image, which are converted, are those needed.

    Raises:
        BombError: an image larger than its library opens.
        Exception: whatever a decoder raises on a broken header.
    """
    name = path.name.lower()
    probes: dict[tuple[str, ...], Callable[[Path, FolderModality], tuple[Shape, Shape] | None]] = {
        IMAGES: _image,
        AUDIO: _audio,
        VOLUMES: _volume,
        ARRAYS: _array,
    }
    for endings, look in probes.items():
        if name.endswith(endings):
            return look(path, modality)
    return None


def entries(path: Path, modality: FolderModality) -> int:
    """Entries that decoding the file makes, before it is brought to size; 0 where only decoding tells.

    Raises:
        BombError: as :func:`probe`.
        Exception: as :func:`probe`.
    """
    name = path.name.lower()
    if name.endswith(IMAGES):
        width, height = _size(path)
        return width * height * max(1, modality.shape[0])
    if name.endswith(AUDIO):
        import soundfile

        about = soundfile.info(str(path))
        return int(about.frames * about.channels)
    found = probe(path, modality)
    total = 1
    for size in found[0] if found else (0,):
        total *= size
    return total


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return opened.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BombError from error


def _image(path: Path, modality: FolderModality) -> tuple[Shape, Shape]:
    width, height = _size(path)
    channels = modality.shape[0]
    resized = modality.fit == "resize"
    return modality.shape if resized else (channels, height, width), modality.shape


def _audio(path: Path, modality: FolderModality) -> tuple[Shape, Shape]:
    import soundfile

    about = soundfile.info(str(path))
    if modality.kind == "series" and modality.fit == "resize":
        return (about.channels, modality.shape[-1]), modality.shape
    return (about.channels, about.frames), modality.shape


def _volume(path: Path, modality: FolderModality) -> tuple[Shape, Shape]:
    import nibabel

    image: Any = nibabel.load(path)  # its type is that of any file that nibabel reads
    shape = tuple(int(size) for size in image.shape)
    return (1, *shape) if len(shape) == 2 else (shape[-1], *shape[:-1]), modality.shape


def _array(path: Path, modality: FolderModality) -> tuple[Shape, Shape] | None:
    try:
        return read_npy_header(path).shape, modality.shape
    except NpyError:
        return None  # one sample may be stored in another order; the decoder says what is wrong
