"""Trained runs without training: lively networks on small data sets, and folders that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from fedmce.cli.compose import load_config
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset, Task, dataset_of
from fedmce.matrix import TrainedRun
from fedmce.models import MultimodalNet, NetworkSpec, state_of
from fedmce.networks import spec_for
from fedmce.record.model_file import LoadedModel, save_model
from tests.oracles.worlds import lively, make_dataset, make_site, plain_statistics

Bools = npt.NDArray[np.bool_]


def toy(modalities: int = 3, classes: int = 3, rows: int = 30) -> FederatedDataset:
    """Three sites with natural gaps; the first half of the rows trains, the rest tests."""
    sites = []
    for name in ("north", "south", "west"):
        available = np.random.default_rng(len(name) + modalities).random((rows, modalities)) < 0.8
        available[~available.any(axis=1), 0] = True
        sites.append(make_site(name, available, ["train", "test"] * (rows // 2)))
    data = make_dataset(sites)
    if classes == 3:
        return data
    task = Task(("no", "yes"), metric="auc_within_sites")
    return replace(data, task=task, sites={n: replace(s, targets=s.targets % 2) for n, s in data.sites.items()})


def toy_run(data: FederatedDataset, overrides: Sequence[str] = (), *, use: str = "off") -> TrainedRun:
    """A lively network on a toy data set."""
    config = load_config(["missingness=natural", *overrides])
    spec = NetworkSpec(
        modalities=data.modalities,
        classes=data.task.classes,
        encoders=("mlp",) * len(data.modalities),
        width=4,
        hidden=5,
        fusion="residual",
        absent="skip",
        heads=True,
        completion=True,
    )
    net = lively(MultimodalNet(spec)).eval()
    return TrainedRun(Path("toy"), config, data, LoadedModel(spec.to_dict(), net, plain_statistics(spec)), use)


def saved_run(folder: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """A folder with ``config.yaml`` and a lively model that nobody trained."""
    config = load_config(["dataset=av_digits", *overrides])
    spec = spec_for(dataset_of(config), config)
    folder.mkdir()
    save_model(folder, spec, state_of(lively(MultimodalNet(spec))), plain_statistics(spec))
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return config
