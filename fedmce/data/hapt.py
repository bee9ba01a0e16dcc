"""Activities of 30 people with a phone at the waist (UCI HAPT, 2015): gravity, body acceleration, gyroscope.

People are sites. The owners' nine test people never train; their sites hold test rows and nothing else.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import HaptConfig
from fedmce.data import originals
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task, dataset
from fedmce.data.draws import draw_rows
from fedmce.errors import DataError
from fedmce.streams import generator

TEST_PEOPLE = (2, 4, 9, 10, 12, 13, 18, 20, 24)
ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
WINDOW, STEP = 128, 64  # samples at 50 Hz: 2.56 s, half of it shared with the next window
GRAVITY_PER_G, ACCELERATION_PER_G = 7200, 720  # stored steps per g
GYRO_STEP = 0.0175 * np.pi / 180  # rad/s per stored step
UNITS = {"gravity": "g, below 0.3 Hz", "body": "g, above 0.3 Hz", "gyro": "rad/s"}
PROVENANCE = {
    "gravity": "real: accelerometer, low-pass of 0.3 Hz over the whole experiment (looks ahead: not for online use)",
    "body": "real: accelerometer less gravity",
    "gyro": "real: gyroscope",
    "labels": "real: activities as the experimenters labelled them from video; postural transitions are left out",
    "sites": "real: one site per person; the owners' nine test people never train",
}
CAUTION = (
    "test people are unseen, validation rows are of people who train: validation scores lie above test scores",
    "the phone sits differently on each person, so gravity carries the person",
)


@dataclass(frozen=True)
class Recordings:
    """Signals of all labelled samples and the windows cut from them.

    Attributes:
        acceleration, gravity, rotation: int16 ``(3, samples)`` in stored steps.
        start: first sample of each window, ``(windows,)``.
        segment: number of the labelled segment that holds it, ``(windows,)``.
        person: 1 to 30, ``(windows,)``.
        activity: 0 to 5, ``(windows,)``.
    """

    acceleration: npt.NDArray[np.int16]
    gravity: npt.NDArray[np.int16]
    rotation: npt.NDArray[np.int16]
    start: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    person: npt.NDArray[np.int64]
    activity: npt.NDArray[np.int64]


def undo_differences(stored: npt.NDArray[np.int16], times: int) -> npt.NDArray[np.int16]:
    """Sum up differences ``(3, samples)`` that were taken modulo 2^16, so the sum must wrap around as int16."""
    for _ in range(times):
        stored = np.cumsum(stored, axis=1, dtype=np.int16)
    return stored


def cut(segments: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.int64]]:
    """Windows of 128 samples, a new one every 64, inside each segment of activities 1 to 6.

    Args:
        segments: experiment, person, activity (1 to 12), first and last sample (inclusive), offset in the signals;
            ``(segments, 6)``.

    Returns:
        ``start``, ``segment``, ``person`` and ``activity`` (0 to 5) per window, in the order of the segments.
    """
    found: list[tuple[int, int, int, int]] = []
    for number, (_, person, activity, first, last, offset) in enumerate(segments.tolist()):
        if activity <= len(ACTIVITIES):
            found += [(offset + s, number, person, activity - 1) for s in range(0, last - first + 2 - WINDOW, STEP)]
    columns = np.array(found, dtype=np.int64).reshape(-1, 4).T
    return dict(zip(("start", "segment", "person", "activity"), columns, strict=True))


@lru_cache(maxsize=1)
def _read(data_dir: Path | None) -> Recordings:
    content = originals.read_packed("hapt", data_dir)
    arrays = {name: np.load(io.BytesIO(raw), allow_pickle=False) for name, raw in content.items()}
    return Recordings(
        acceleration=undo_differences(arrays["acc_d1.npy"], 1),
        gravity=undo_differences(arrays["grav_d2.npy"], 2),
        rotation=undo_differences(arrays["gyro_d1.npy"], 1),
        **cut(arrays["seg.npy"]),
    )


def signals(table: Recordings, windows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float32]]:
    """Gravity and body acceleration in g and rotation in rad/s, each float32 ``(windows, 3, 128)``."""
    samples = table.start[windows, None] + np.arange(WINDOW)
    acceleration, gravity, rotation = (
        np.moveaxis(stored[:, samples], 0, 1).astype(np.float64)
        for stored in (table.acceleration, table.gravity, table.rotation)
    )
    gravity /= GRAVITY_PER_G
    body = acceleration / ACCELERATION_PER_G - gravity
    features = {"gravity": gravity, "body": body, "gyro": rotation * GYRO_STEP}
    return {name: values.astype(np.float32) for name, values in features.items()}


def validation_windows(
    table: Recordings, own: npt.NDArray[np.int64], count: int, rng: np.random.Generator, where: str
) -> npt.NDArray[np.int64]:
    """Draw runs of consecutive windows, label-balanced: scattered ones would overlap twice as many others each.

    Args:
        table: all windows.
        own: numbers of one person's windows.
        count: how many to draw.
        rng: stream of this person and purpose.
        where: config key and site, for the message.

    Returns:
        Numbers of the drawn windows.

    Raises:
        ConfigError: fewer windows than asked for.
    """
    activity = table.activity[own]
    quota = np.bincount(activity[draw_rows(activity, count, rng, where)], minlength=len(ACTIVITIES))
    place = dict(zip(segments := np.unique(table.segment[own]), rng.permutation(len(segments)), strict=True))
    turn = np.array([place[segment] for segment in table.segment[own]])
    runs = own[np.lexsort((table.start[own], turn))]
    drawn = [runs[table.activity[runs] == activity][:n] for activity, n in enumerate(quota)]
    return np.sort(np.concatenate(drawn))


def overlaps(table: Recordings, windows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each window shares samples with any of the others, ``(windows,)``.

    Segments of different activities lie end to end in the signals, and windows stay inside theirs, so a distance
    of less than a window means shared samples.
    """
    return np.asarray(
        (np.abs(table.start[windows, None] - table.start[None, others]) < WINDOW).any(axis=1), dtype=np.bool_
    )


def _splits(table: Recordings, person: int, config: HaptConfig, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Window numbers of one person's train, validation and test rows."""
    own, none, name = np.flatnonzero(table.person == person), np.empty(0, dtype=np.int64), site_name(person)
    if person in TEST_PEOPLE:
        drawn = draw_rows(
            table.activity[own],
            config.test_rows,
            generator(seed, "hapt", "test_rows", name),
            f"dataset.test_rows at {name}",
        )
        return {"train": none, "validation": none, "test": own[drawn]}
    # Validation is drawn first: it stays the same whatever the size of the training part.
    rng = generator(seed, "hapt", "validation", name)
    validation = validation_windows(table, own, config.validation_rows, rng, f"dataset.validation_rows at {name}")
    left = own[~overlaps(table, own, validation)]
    rng = generator(seed, "hapt", "train_rows", name)
    drawn = draw_rows(table.activity[left], config.train_rows, rng, f"dataset.train_rows at {name}")
    return {"train": left[drawn], "validation": validation, "test": none}


def site_name(person: int) -> str:
    """Name of a person's site."""
    return f"person{person:02d}"


def _modalities(config: HaptConfig) -> tuple[Modality, ...]:
    # Statistics per axis, pooled over time: where gravity points is what tells postures apart.
    if not config.axes:
        return tuple(Modality(name, "series", (3, WINDOW), UNITS[name], pooled_axes=(1,)) for name in config.signals)
    return tuple(
        Modality(f"{name}_{axis}", "series", (1, WINDOW), UNITS[name], pooled_axes=(1,))
        for name in config.signals
        for axis in "xyz"
    )


def _site(table: Recordings, person: int, config: HaptConfig, seed: int) -> SiteRows:
    parts = _splits(table, person, config, seed)
    windows = np.concatenate(list(parts.values()))
    measured = signals(table, windows)
    features: dict[str, npt.NDArray[np.float32]] = {str(name): measured[name] for name in config.signals}
    if config.axes:
        features = {f"{name}_{a}": v[:, i, None] for name, v in features.items() for i, a in enumerate("xyz")}
    return SiteRows(
        name=site_name(person),
        sample_ids=tuple(f"{table.segment[w]:04d}-{table.start[w]}" for w in windows),
        targets=table.activity[windows],
        split=np.repeat(np.array(list(parts), dtype="<U10"), [len(part) for part in parts.values()]),
        features=features,
        available=np.ones((len(windows), len(features)), dtype=np.bool_),
    )


@dataset("hapt")
def load(config: HaptConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load windows of six activities; the 21 people who train come first, then the nine who are tested.

    Args:
        config: windows per person and split, which signals, and whether each axis is a modality of its own.
        data_dir: holds ``hapt/hapt_labelled_signals.npz``.
        seed: root of the draws.

    Returns:
        Series ``gravity``, ``body``, ``gyro`` (or some of them) of (3, 128), or with ``axes`` nine of (1, 128): ``gravity_x``, ... No
        training window shares a sample with a validation window.

    Raises:
        DataError: the file is absent or its arrays are not the promised ones.
        ConfigError: more windows wanted than a person has.
    """
    table = _read(Path(data_dir) if data_dir else None)
    people = sorted(set(table.person.tolist()), key=lambda person: (person in TEST_PEOPLE, person))
    if not people:
        raise DataError("hapt: no window in the file; needed segments of activities 1 to 6")
    modalities = _modalities(config)
    return FederatedDataset(
        name="hapt",
        modalities=modalities,
        task=Task(classes=ACTIVITIES),
        sites={site_name(person): _site(table, person, config, seed) for person in people},
        provenance={
            **{m.name: PROVENANCE[m.name.split("_")[0]] for m in modalities},
            "labels": PROVENANCE["labels"],
            "sites": PROVENANCE["sites"],
        },
        caution=CAUTION,
    )
