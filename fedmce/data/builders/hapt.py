"""Build hapt's file from the owners' text.

    python -m fedmce.data.builders.hapt RAWDATA OUT.npz

RAWDATA is the folder of that name in the archive of UCI data set 341 (Smartphone-Based Recognition of Human
Activities and Postural Transitions, version 2.1): ``acc_expNN_userNN.txt``, ``gyro_expNN_userNN.txt``,
``labels.txt``. Only labelled samples are kept, as differences modulo 2^16, which compress well. Needs scipy.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.data.hapt import ACCELERATION_PER_G, GRAVITY_PER_G, GYRO_STEP
from fedmce.data.packed import HAPT_SHA256
from fedmce.errors import DataError

RATE, CUTOFF, ORDER = 50.0, 0.3, 3  # Hz, Hz, order of the Butterworth low-pass that leaves gravity


def low_pass(acceleration: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gravity of a whole experiment, ``(samples, 3)`` in g, filtered forward and backward."""
    from scipy.signal import butter, filtfilt  # only the builder needs scipy

    numerator, denominator = butter(ORDER, CUTOFF / (RATE / 2))
    return np.asarray(filtfilt(numerator, denominator, acceleration, axis=0), dtype=np.float64)


def differences(values: npt.NDArray[np.int16], times: int) -> npt.NDArray[np.int16]:
    """Differences along the samples of ``(3, samples)``, modulo 2^16; the first sample stays."""
    for _ in range(times):
        values = np.diff(values, axis=1, prepend=np.zeros((3, 1), dtype=np.int16))
    return values


def _table(path: Path) -> npt.NDArray[np.float64]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; needed the owners' RawData folder")
    return np.loadtxt(path, ndmin=2)


def arrays(raw: Path) -> dict[str, npt.NDArray[Any]]:
    """The four arrays of the file.

    Args:
        raw: the owners' ``RawData`` folder.

    Returns:
        ``acc_d1``, ``gyro_d1`` and ``grav_d2``, int16 ``(3, labelled samples)``, and ``seg``, int32 ``(segments, 6)``:
        experiment, person, activity, first and last sample (1-based, inclusive), offset.

    Raises:
        DataError: a file is absent.
    """
    labels = _table(raw / "labels.txt").astype(np.int64)
    cut: dict[str, list[npt.NDArray[np.int16]]] = {"acc": [], "gyro": [], "grav": []}
    stored: dict[str, npt.NDArray[np.int16]] = {}
    before = None
    for experiment, person, _, first, last in labels.tolist():
        if (experiment, person) != before:
            before, end = (experiment, person), f"exp{experiment:02d}_user{person:02d}.txt"
            acceleration, rotation = _table(raw / f"acc_{end}"), _table(raw / f"gyro_{end}")
            steps = {
                "acc": acceleration * ACCELERATION_PER_G,
                "gyro": rotation / GYRO_STEP,
                "grav": low_pass(acceleration) * GRAVITY_PER_G,
            }
            stored = {name: np.rint(values).astype(np.int16).T for name, values in steps.items()}
        for name, parts in cut.items():
            parts.append(stored[name][:, first - 1 : last])
    whole = {name: np.concatenate(parts, axis=1) for name, parts in cut.items()}
    lengths = labels[:, 4] - labels[:, 3] + 1
    return {
        "acc_d1": differences(whole["acc"], 1),
        "gyro_d1": differences(whole["gyro"], 1),
        "grav_d2": differences(whole["grav"], 2),
        "seg": np.column_stack([labels, np.cumsum(lengths) - lengths]).astype(np.int32),
    }


def build(raw: Path, out: Path) -> list[str]:
    """Write the file; names of the arrays that differ from those that the loader accepts."""
    with out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays(raw))
    with zipfile.ZipFile(out) as archive:
        return [n for n, sha in HAPT_SHA256.items() if hashlib.sha256(archive.read(n)).hexdigest() != sha]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m fedmce.data.builders.hapt RAWDATA OUT.npz")
    different = build(Path(sys.argv[1]), Path(sys.argv[2]))
    if different:
        sys.exit(f"{sys.argv[2]}: {', '.join(different)} not as promised; needed the owners' version 2.1, unchanged")
