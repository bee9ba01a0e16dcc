"""``file``: masks as a file gives them, ``masks.npz`` of a former run or a CSV table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from fedmce.config.missingness import FileConfig
from fedmce.errors import DataError
from fedmce.missingness.mask_file import MaskSet, read_masks
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int) -> MaskSet:
    return read_masks(path)


def masks_of(config: FileConfig) -> MaskSet:
    """The masks of the file, read once as long as it does not change.

    Raises:
        DataError: the file is absent or no mask file, or its masks have another hash than the one given.
    """
    path = Path(config.path).expanduser()
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"missingness.path: {path} cannot be read; needed a mask file on this machine") from error
    masks = _read(path.resolve(), state.st_mtime_ns, state.st_size)
    if config.sha256 is not None and masks.sha256() != config.sha256:
        raise DataError(f"{path}: its masks have the hash {masks.sha256()}; needed missingness.sha256={config.sha256}")
    return masks


@mechanism("file")
def from_file(config: FileConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide what the file does not show.

    Raises:
        DataError: the file knows other modalities, or lacks the site or one of its rows.
    """
    masks = masks_of(config)
    if set(masks.modalities) != set(view.modalities):
        raise DataError(
            f"{config.path}: modalities {', '.join(masks.modalities)}; needed {', '.join(view.modalities)} of this data set"
        )
    if not view.sample_ids:
        return np.zeros_like(view.available), dict.fromkeys(view.modalities, 0.0)
    if view.site not in masks.sites:
        raise DataError(f"{config.path}: no site {view.site!r}; needed a file with all sites of this data set")
    mask = masks.sites[view.site]
    place = {sample: row for row, sample in enumerate(mask.sample_ids)}
    absent = [sample for sample in view.sample_ids if sample not in place]
    if absent:
        raise DataError(
            f"{config.path}: site {view.site} has no row {absent[0]!r}; needed masks drawn for this data set, with the "
            f"same seed and rows"
        )
    rows = np.array([place[sample] for sample in view.sample_ids], dtype=np.int64)
    columns = [masks.modalities.index(name) for name in view.modalities]
    hidden = view.available & ~mask.available[rows][:, columns]
    held = np.maximum(view.available.sum(axis=0), 1)
    return hidden, dict(zip(view.modalities, (hidden.sum(axis=0) / held).tolist(), strict=True))
