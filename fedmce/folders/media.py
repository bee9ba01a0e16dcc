"""Files of single samples as arrays: images, recordings, volumes and ``.npy``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.errors import DataError
from fedmce.folders.layout import ARRAYS, AUDIO, IMAGES, VOLUMES, FolderModality

Values = npt.NDArray[np.float32]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of an image, by channels


def decode(path: Path, modality: FolderModality) -> Values:
    """One sample from a file, float32 of the modality's shape.

    Images become grey, RGB or RGBA by the channels of the shape, with values from 0 to 1; recordings from -1 to 1,
    ``(channels, steps)``; of a volume the last axis becomes the channels; an array is taken as it is. With
    ``fit: resize`` images are resampled (bilinear) and recordings cut or padded with zeros at their end.

    Raises:
        DataError: no such file, no known kind of file, not decodable, or of another shape.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; needed a regular file")
    name = path.name.lower()
    readers = {IMAGES: _image, AUDIO: _audio, VOLUMES: _volume, ARRAYS: _array}
    read = next((reader for endings, reader in readers.items() if name.endswith(endings)), None)
    if read is None:
        known = ", ".join(ending for endings in readers for ending in endings)
        raise DataError(f"{path}: no file of a known kind; needed one of {known}")
    try:
        found = np.asarray(read(path, modality), dtype=np.float32)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they like on a broken file
        raise DataError(f"{path}: cannot be decoded ({type(error).__name__}); copy it again from the source") from None
    if found.shape != modality.shape:
        raise DataError(f"{path}: holds {found.shape}; needed {modality.shape}. make it that size{_hint(name)}")
    return found


def _hint(name: str) -> str:
    return ", or set fit: resize in site.yaml" if name.endswith(IMAGES + AUDIO) else ""


def _image(path: Path, modality: FolderModality) -> npt.NDArray[Any]:
    from PIL import Image

    channels, height, width = modality.shape if len(modality.shape) == 3 else (0, 0, 0)
    if channels not in MODES:
        raise DataError(f"{path}: an image, for shape {modality.shape}; needed 1, 3 or 4 channels, height and width")
    with Image.open(path) as opened:
        deep = opened.mode.startswith("I")  # 16 bits per pixel, which `convert` would cut off
        image = opened.convert("F") if deep else opened.convert(MODES[channels])
        if modality.fit == "resize" and image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(image, dtype=np.float32) / np.float32(65535 if deep else 255)
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def _audio(path: Path, modality: FolderModality) -> npt.NDArray[Any]:
    try:
        import soundfile
    except ImportError:
        raise DataError(f"{path}: a recording; needed the library soundfile. `pip install soundfile`") from None
    values: Values = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    steps = modality.shape[-1]
    if modality.kind == "series" and modality.fit == "resize" and values.shape[1] != steps:
        values = np.pad(values[:, :steps], ((0, 0), (0, max(0, steps - values.shape[1]))))
    return values


def _volume(path: Path, modality: FolderModality) -> npt.NDArray[Any]:
    try:
        import nibabel
    except ImportError:
        raise DataError(f"{path}: a NIfTI volume; needed the library nibabel. `pip install nibabel`") from None
    image: Any = nibabel.load(path)  # its type is that of any file that nibabel reads
    values = np.asarray(image.get_fdata(dtype=np.float32))
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def _array(path: Path, modality: FolderModality) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    return found
