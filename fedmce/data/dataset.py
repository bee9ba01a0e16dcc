"""One interface for every data set: sites, modalities, rows, splits and natural gaps.

A :class:`FederatedDataset` is what a loader returns *before* any experiment hides anything. Training
code never sees it: :mod:`fedmce.missingness` turns it into observed sites, from which hidden values
are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fedmce.errors import DataError
from fedmce.registry import registrar

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Kind = Literal["image", "spectrogram", "tabular", "series"]


@dataclass(frozen=True)
class Modality:
    """One kind of measurement.

    Attributes:
        name: letters, digits and ``_`` only; never ``+`` or ``.`` (they join names elsewhere).
        kind: which family of encoder reads it.
        shape: of one sample, channels first: image and spectrogram ``(channels, height, width)``
            (a spectrogram's height is its bands or coefficients, its width the frames), series
            ``(channels, steps)``, tabular ``(features,)``.
        units: of one entry, in words; part of the report.
        pooled_axes: axes of ``shape`` over which normalisation statistics are pooled. ``(0, 1, 2)`` gives
            one mean for a grey image, ``(0, 2)`` one per band of a spectrogram, ``()`` one per column.
        real: True if the values were measured in the world, False if a program made them.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    units: str
    pooled_axes: tuple[int, ...] = ()
    real: bool = True

    @property
    def statistics_shape(self) -> tuple[int, ...]:
        """Shape of mean and standard deviation, broadcastable against ``shape``."""
        return tuple(1 if axis in self.pooled_axes else n for axis, n in enumerate(self.shape))


@dataclass(frozen=True)
class Task:
    """What is predicted. ``metric`` names the score that tables and bars use."""

    classes: tuple[str, ...]
    metric: Literal["accuracy", "auc_within_sites"] = "accuracy"
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True)
class SiteRows:
    """All rows of one site, with the site's natural gaps.

    Attributes:
        name: the site's name, unique in the data set.
        sample_ids: one unique text per row; masks are keyed by it.
        targets: class index per row, int64 ``(rows,)``.
        split: one of :data:`SPLITS` per row, unicode ``(rows,)``.
        features: per modality float32 ``(rows, *shape)``. A NaN is a hole: an entry that was not
            recorded although its modality is there. Rows whose modality is absent hold NaN throughout.
        available: natural availability, bool ``(rows, modalities)`` in data set order; True = recorded.
    """

    name: str
    sample_ids: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    split: npt.NDArray[np.str_]
    features: dict[str, npt.NDArray[np.float32]]
    available: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FederatedDataset:
    """Sites that hold the same kind of data.

    Attributes:
        name: registry name.
        modalities: in registry order; this order is the order of columns and of subset names everywhere.
        task: classes and metric.
        sites: by name, in the data set's own order (aggregation sorts by name, this order never matters
            for results).
        provenance: per modality (and ``"labels"``, ``"sites"``) one sentence on what is real and what is
            synthetic, with the source. Shown in terminal and report.
        caution: sentences that must stand beside any score, such as "the mask predicts the label".
    """

    name: str
    modalities: tuple[Modality, ...]
    task: Task
    sites: dict[str, SiteRows]
    provenance: dict[str, str] = field(default_factory=dict)
    caution: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise DataError(f"data set {self.name}: " + "; ".join(problems))


def _problems(dataset: FederatedDataset) -> list[str]:
    found: list[str] = []
    names = [m.name for m in dataset.modalities]
    if len(set(names)) != len(names):
        found.append(f"modality names {names} are not unique")
    found += [f"modality name {n!r} is not letters, digits and '_'" for n in names if not n.replace("_", "a").isalnum()]
    for key, site in dataset.sites.items():
        rows = len(site.sample_ids)
        where = f"site {key}"
        if key != site.name:
            found.append(f"{where}: is named {site.name!r} inside")
        if len(set(site.sample_ids)) != rows:
            found.append(f"{where}: sample ids are not unique")
        if site.targets.shape != (rows,) or site.split.shape != (rows,):
            found.append(f"{where}: targets {site.targets.shape} and split {site.split.shape}; needed ({rows},)")
        elif rows and not (site.targets.min() >= 0 and site.targets.max() < len(dataset.task.classes)):
            found.append(f"{where}: targets outside 0..{len(dataset.task.classes) - 1}")
        if not set(np.unique(site.split)) <= set(SPLITS):
            found.append(f"{where}: splits {sorted(set(np.unique(site.split)))}; known {', '.join(SPLITS)}")
        if site.available.shape != (rows, len(names)) or site.available.dtype != np.bool_:
            found.append(
                f"{where}: available {site.available.shape} {site.available.dtype}; needed bool ({rows}, {len(names)})"
            )
        if set(site.features) != set(names):
            found.append(f"{where}: features {sorted(site.features)}; needed {names}")
            continue
        for modality in dataset.modalities:
            given = site.features[modality.name]
            if given.shape != (rows, *modality.shape) or given.dtype != np.float32:
                found.append(
                    f"{where}: {modality.name} {given.shape} {given.dtype}; needed float32 {(rows, *modality.shape)}"
                )
    return found


Loader = Callable[[Any, Path | None, int], FederatedDataset]
DATASETS: dict[str, Loader] = {}
# its config section, data_dir, seed -> FederatedDataset
dataset = registrar(DATASETS, "data set")
