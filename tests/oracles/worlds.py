"""Small made-up data sets, networks and batches that the tests of all rooms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task
from fedmce.models import Batch, MultimodalNet, NetworkSpec, Statistics
from fedmce.objectives import SiteFacts
from fedmce.streams import generator

NAMES = ("a", "b", "c", "d", "e", "f")
CLASSES = ("red", "green", "blue")
Bools = npt.NDArray[np.bool_]


def modality(name: str, size: int = 3) -> Modality:
    return Modality(name, "tabular", (size,), "units")


def small_spec(
    modalities: int = 3,
    fusion: str = "residual",
    *,
    heads: bool = True,
    completion: bool = True,
    absent: str = "skip",
    completion_target: str = "token",
) -> NetworkSpec:
    """Tabular modalities ``a, b, ...`` of sizes 2, 3, ..., three classes, tokens of length 4."""
    return NetworkSpec(
        modalities=tuple(modality(n, 2 + i) for i, n in enumerate(NAMES[:modalities])),
        classes=CLASSES,
        encoders=("mlp",) * modalities,
        width=4,
        hidden=5,
        fusion=fusion,
        absent=absent,
        heads=heads or fusion in ("additive", "late", "residual"),
        completion=completion and modalities > 1,
        completion_target=completion_target,
    )


def lively(net: MultimodalNet, seed: int = 0) -> MultimodalNet:
    """The network with every parameter drawn anew, so that no bias is zero and no token is empty by chance."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(net.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=numbers, dtype=torch.float64) * 0.6)
    return net


def make_batch(spec: NetworkSpec, available: Bools, seed: int = 0, first: int = 0) -> Batch:
    """Rows with these modalities; a row's samples and class depend on its number alone.

    They are the rows ``first``, ``first + 1``, ... of their site.
    """
    dtype = torch.get_default_dtype()
    rows = len(available)
    values, position = {}, {}
    for column, m in enumerate(spec.modalities):
        samples = np.array([generator(seed, "sample", row, m.name).normal(size=m.shape) for row in range(rows)])
        held = np.flatnonzero(available[:, column])
        if len(held):
            values[m.name] = torch.from_numpy(samples[held]).to(dtype)
            position[m.name] = torch.from_numpy(held)
    targets = [int(generator(seed, "target", row).integers(len(spec.classes))) for row in range(rows)]
    return Batch(rows, values, position, torch.tensor(targets), torch.arange(first, first + rows))


def patterns(modalities: int, min_rows: int = 1, max_rows: int = 7) -> st.SearchStrategy[Bools]:
    """Availability of some rows, each holding something."""
    codes = st.lists(st.integers(1, (1 << modalities) - 1), min_size=min_rows, max_size=max_rows)
    return codes.map(lambda found: rows_of(found, modalities))


def rows_of(codes: Sequence[int], modalities: int) -> Bools:
    """One row per pattern code."""
    return np.array([[bool(code >> m & 1) for m in range(modalities)] for code in codes], dtype=bool).reshape(
        -1, modalities
    )


def facts_of(spec: NetworkSpec, available: Bools, others: Mapping[str, int] | None = None, **known: Any) -> SiteFacts:
    """Facts of a site that holds these rows beside other sites of 20 rows that hold ``others``."""
    counts = {n: int(available[:, i].sum()) for i, n in enumerate(spec.names)}
    others = others or {}
    return SiteFacts(
        modalities=spec.names,
        rows=len(available),
        rows_by_modality=counts,
        all_rows=len(available) + 20,
        all_rows_by_modality={n: counts[n] + others.get(n, 10) for n in spec.names},
        **{"lack": {}, "class_rows": (3, 2, 4)} | known,
    )


def make_site(name: str, available: Bools, splits: Sequence[str] | None = None, prefix: str = "") -> SiteRows:
    """Rows whose values are keyed by site and sample id; what is not available holds NaN."""
    rows, modalities = available.shape
    ids = tuple(f"{prefix}{name}-{row}" for row in range(rows))
    features = {}
    for column, modality_name in enumerate(NAMES[:modalities]):
        shape = (2 + column,)
        numbers = np.array([generator(0, i, modality_name).normal(size=shape) for i in ids]).reshape(rows, *shape)
        numbers[~available[:, column]] = np.nan
        features[modality_name] = numbers.astype(np.float32)
    targets = np.array([row % len(CLASSES) for row in range(rows)], dtype=np.int64)
    split = np.array(list(splits) if splits is not None else ["train"] * rows, dtype=str)
    return SiteRows(name, ids, targets, split, features, available.astype(bool))


def make_dataset(sites: Sequence[SiteRows]) -> FederatedDataset:
    modalities = sites[0].available.shape[1]
    named = tuple(modality(n, 2 + i) for i, n in enumerate(NAMES[:modalities]))
    return FederatedDataset("made_up", named, Task(CLASSES), {site.name: site for site in sites})


def plain_statistics(spec: NetworkSpec) -> dict[str, Statistics]:
    """Mean 0 and standard deviation 1: values reach the encoders as they are."""
    return {
        m.name: Statistics(np.zeros(m.statistics_shape, np.float32), np.ones(m.statistics_shape, np.float32))
        for m in spec.modalities
    }
