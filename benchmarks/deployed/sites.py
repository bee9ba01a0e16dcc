"""Small made-up site folders, as many as wanted: rounds of them cost what the way between processes costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedmce.data import FederatedDataset, Modality, SiteRows, Task
from fedmce.folders.write import write_site

MODALITIES = (
    Modality("sound", "series", (1, 16), "pressure", pooled_axes=(1,)),
    Modality("blood", "tabular", (4,), "mmol/l"),
)
CLASSES = ("low", "middle", "high")
SPLITS = {"train": 192, "validation": 48, "test": 48}
# A tiny model, one pass: local training is a fraction of a second. Without floors, under which sites would tell their
# seconds in whole polls; the rows are made up.
PLAN = (
    "--i-know",
    "privacy=open",
    "model.width=8",
    "model.fusion_hidden=8",
    "training.local_epochs=1",
    "training.batch_size=16",
)


def write_sites(root: Path, count: int) -> list[str]:
    """Write folders ``site-01`` and so on; their names."""
    names = [f"site-{number:02d}" for number in range(1, count + 1)]
    sites = {name: _site(name) for name in names}
    data = FederatedDataset("made", MODALITIES, Task(CLASSES), sites, {"all": "made up for a benchmark"})
    for name, rows in sites.items():
        write_site(root / name, data, rows, name, rows.available)
    return names


def _site(name: str) -> SiteRows:
    rows, draw = sum(SPLITS.values()), np.random.default_rng(sum(name.encode()))
    targets = draw.integers(0, len(CLASSES), rows)
    available = np.ones((rows, len(MODALITIES)), dtype=bool)
    available[draw.random(rows) < 0.3, 0] = False
    features = {}
    for at, m in enumerate(MODALITIES):
        values = targets.reshape(-1, *[1] * len(m.shape)) + draw.normal(size=(rows, *m.shape))
        values[~available[:, at]] = np.nan
        features[m.name] = values.astype(np.float32)
    ids = tuple(f"{name}-{row}" for row in range(rows))
    split = np.repeat(list(SPLITS), list(SPLITS.values()))
    return SiteRows(name, ids, targets.astype(np.int64), split, features, available)
