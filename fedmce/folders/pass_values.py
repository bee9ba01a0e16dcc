"""Pass V: the values of the arrays, read once in windows.

Windows are read into one buffer and not through a memory map: a file that is cut off or a disk that goes away
while it is read is then an error that can be told, where a map would end the process by a bus error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.folders.demands import Scale
from fedmce.folders.findings import EXAMPLES, Example, Findings
from fedmce.folders.layout import FolderModality
from fedmce.folders.npy_header import NpyHeader
from fedmce.folders.pass_ids import Ids
from fedmce.folders.tally import Tally

WINDOW = 64 << 20  # bytes
ZERO_SHARE = 0.01  # of the rows in use: more look like absent samples stored as zeros
SD_RATIO, MEAN_DISTANCE = 100.0, 10.0
FLOAT32_MOST = float(np.finfo(np.float32).max)
ABSENT_FIX = "leave the cell of an absent modality empty"


def check_array(
    path: Path,
    file: str,
    header: NpyHeader,
    modality: FolderModality,
    owner: npt.NDArray[np.int64],
    ids: Ids,
    scale: Scale | None,
    findings: Findings,
) -> None:
    """Every row of an array.

    Args:
        path: of the array.
        file: its name within the folder.
        header: as it was read.
        modality: of ``site.yaml``.
        owner: per row of the array, the row of the table that names it first, -1 = nobody, int64.
        ids: names of rows of the table.
        scale: of the federation, None = not stated.
        findings: collects.
    """
    tally, bad, bad_rows, lonely = Tally(), list[Example](), 0, 0
    try:
        for start, window in windows(path, header):
            used = owner[start : start + len(window)] >= 0
            wrong = _wrong(window, modality)
            if wrong is not None:
                rows = wrong.any(axis=1)
                if modality.holes:
                    rows |= used & np.isnan(window).all(axis=1)
                lonely += int((rows & ~used).sum())
                for row in np.flatnonzero(rows & used)[: EXAMPLES - len(bad)]:
                    bad.append(_example(window[row], start + int(row), header, owner, ids))
                bad_rows += int((rows & used).sum())
            mask = None if wrong is None else np.isfinite(window[used])
            tally.add(window[used], start + np.flatnonzero(used), mask)
    except OSError as error:
        findings.error(
            "D39", file, "", f"cannot be read to its end ({type(error).__name__})", "a whole file", "copy it again"
        )
        return
    fix = f"{ABSENT_FIX}; where NaN stands for an entry that was not recorded, set holes: true"
    findings.many("D42", file, "", bad, bad_rows, "finite numbers in rows that samples point at", fix)
    if lonely:
        fix = "none needed; no sample points at these rows"
        findings.warning("D43", file, "", f"{lonely:,} rows with NaN or infinity", "yes, if it is meant", fix)
    judge(tally, file, lambda row: f"row {row}", scale, findings)


def windows(path: Path, header: NpyHeader) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The array in windows of :data:`WINDOW` bytes: first row, and ``(rows, entries)`` valid until the next.

    Raises:
        OSError: the file cannot be read, or ends early.
    """
    rows, width = header.shape[0], header.row_bytes
    per = min(rows, max(1, WINDOW // width))
    buffer = bytearray(per * width)
    with path.open("rb", buffering=0) as file:
        file.seek(header.start)
        for start in range(0, rows, per):
            wanted = memoryview(buffer)[: min(per, rows - start) * width]
            _fill(file.fileno(), wanted)
            yield start, np.frombuffer(wanted, dtype=header.dtype).reshape(-1, width // np.dtype(header.dtype).itemsize)


def _fill(descriptor: int, wanted: memoryview) -> None:
    at = 0
    while at < len(wanted):
        got = os.readv(descriptor, [wanted[at:]])
        if not got:
            raise OSError("the file became shorter")
        at += got


def _wrong(window: npt.NDArray[Any], modality: FolderModality) -> npt.NDArray[np.bool_] | None:
    """Mask of the entries that may not be there; None if there is none and no hole either."""
    if window.dtype.kind != "f":
        return None
    with np.errstate(invalid="ignore"):
        # A NaN makes both comparisons false; without one no array of the window's size is made.
        if float(window.max()) <= FLOAT32_MOST and float(window.min()) >= -FLOAT32_MOST:
            return None
    # What float32 cannot hold would be infinite once loaded.
    with np.errstate(invalid="ignore"):
        fits = np.abs(window) <= _most(window)
    wrong: npt.NDArray[np.bool_] = ~(fits | np.isnan(window)) if modality.holes else ~fits
    return wrong


def _most(values: npt.NDArray[Any]) -> Any:
    """Largest entry that both its own type and float32 hold."""
    return values.dtype.type(min(FLOAT32_MOST, float(np.finfo(values.dtype).max)))


def _example(row: npt.NDArray[Any], number: int, header: NpyHeader, owner: npt.NDArray[np.int64], ids: Ids) -> Example:
    with np.errstate(invalid="ignore"):
        place = int(np.argmax(~(np.abs(row) <= _most(row))))
    index = tuple(int(n) for n in np.unravel_index(place, header.shape[1:])) if header.shape[1:] else ()
    return Example(f"row {number} of {ids.name(int(owner[number]))}", f"{row[place]} at {list(index)}")


def judge(tally: Tally, file: str, name: Any, scale: Scale | None, findings: Findings) -> None:
    """What the sums of a modality say.

    Args:
        tally: of its samples in use.
        file: array or column, for messages.
        name: from the number of a sample to its name.
        scale: of the federation, None = not stated.
        findings: collects.
    """
    if tally.rows and tally.zero_rows > ZERO_SHARE * tally.rows:
        shown = [Example(name(row), "all zeros") for row in tally.first_zero]
        allowed = f"zeros that were measured; here {tally.zero_rows:,} of {tally.rows:,} samples in use"
        fix = f"if these look absent: {ABSENT_FIX}"
        findings.many("D44", file, "", shown, tally.zero_rows, allowed, fix, is_error=False)
    if tally.rows > 1 and tally.entries and tally.low == tally.high:
        findings.warning("D45", file, "", f"every entry is {tally.low:g}", "yes, if it is meant", "is the sensor dead?")
    elif scale is not None and tally.entries:
        _compare(tally, file, scale, findings)


def _compare(tally: Tally, file: str, scale: Scale, findings: Findings) -> None:
    ratio = tally.sd / scale.sd if scale.sd > 0 else 1.0
    far = abs(tally.mean - scale.mean) > MEAN_DISTANCE * scale.sd > 0
    if far or not 1 / SD_RATIO <= ratio <= SD_RATIO:
        given = f"mean {tally.mean:.4g}, standard deviation {tally.sd:.4g}"
        allowed = f"near mean {scale.mean:.4g}, standard deviation {scale.sd:.4g} of the federation"
        findings.warning("D46", file, "", given, allowed, "compare the units: 0 to 255 against 0 to 1?")
