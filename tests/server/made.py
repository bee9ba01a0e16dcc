"""A made federation that is trained in milliseconds: four sites, three modalities, some forty rows each.

``ash`` holds everything, ``birch`` lacks sound, ``cedar`` misses images on half of its rows, ``dale`` lacks
images. Blood has holes and is naturally absent on a few rows of ash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import fedmce.data
from client.workplace import open_workplace
from fedmce.cli.compose import load_config
from fedmce.config.schema import NaturalConfig, RunConfig, SitewiseConfig, TrainingConfig
from fedmce.data import FederatedDataset, Modality, SiteRows, Task
from fedmce.flower_compat import Message
from fedmce.models import NetworkSpec
from fedmce.networks import spec_for
from server.exchange import Wait, exchange
from server.profile_round import Register, profile_round
from server.roster import Roster
from server.state import GlobalState, first_state
from server.strategy import ComponentStrategy
from simulations.engines.inprocess import InProcessGrid

SITES = ("dale", "ash", "cedar", "birch")  # not in order of names: nothing may depend on it
MODALITIES = (
    Modality("image", "image", (1, 4, 4), "ink", pooled_axes=(0, 1, 2)),
    Modality("sound", "series", (1, 16), "pressure", pooled_axes=(1,)),
    Modality("blood", "tabular", (3,), "mmol/l"),
)
CLASSES = ("low", "middle", "high")
SPLIT_COUNTS = {"train": 24, "validation": 6, "test": 10}
LACKS = {"birch": "sound", "dale": "image"}
METHODS = ("fedmce", "modality_dropout", "fedavg_owner", "fedavg_zero")


def made_site(name: str, counts: dict[str, int] | None = None) -> SiteRows:
    """Rows whose modalities each say something of the class."""
    counts = SPLIT_COUNTS if counts is None else counts
    rows, draw = sum(counts.values()), np.random.default_rng(sum(name.encode()))
    targets = draw.integers(0, len(CLASSES), rows)
    features, available = {}, np.ones((rows, len(MODALITIES)), dtype=bool)
    for m in MODALITIES:
        slope = np.random.default_rng(len(m.name)).normal(size=m.shape)
        values = slope * (targets.reshape(-1, *[1] * len(m.shape)) - 1) + draw.normal(size=(rows, *m.shape))
        features[m.name] = values.astype(np.float32)
    features["blood"][::5, 1] = np.nan  # a hole: the row's other entries are there
    if name == "ash":
        available[1::8, 2] = False
        features["blood"][1::8] = np.nan
    split = np.repeat(list(counts), list(counts.values()))
    ids = tuple(f"{name}-{row}" for row in range(rows))
    return SiteRows(name, ids, targets.astype(np.int64), split, features, available)


def made_dataset(*sites: SiteRows) -> FederatedDataset:
    """The four sites, or those given."""
    held = {site.name: site for site in (sites or tuple(made_site(name) for name in SITES))}
    return FederatedDataset("av_digits", MODALITIES, Task(CLASSES), held)


def use(patch: pytest.MonkeyPatch, dataset: FederatedDataset) -> FederatedDataset:
    """Let server and sites load ``dataset``, whatever the configuration names."""
    patch.setattr(fedmce.data, "load_dataset", lambda config, data_dir, seed: dataset)
    open_workplace.cache_clear()
    return dataset


@lru_cache
def preset(method: str) -> RunConfig:
    """The configuration that ``fedmce run method=...`` composes."""
    return load_config([f"method={method}"])


def made_config(method: str = "fedmce", **changes: Any) -> RunConfig:
    """A preset on the made federation; ``changes`` are keys of the configuration, dots as ``__``."""
    table = {"birch": {"sound": 1.0}, "cedar": {"image": 0.5}, "dale": {"image": 1.0, "blood": 0.25}}
    small = {
        "missingness": SitewiseConfig(rates={}, reversed_sites=0, table=table).model_dump(),
        "training": TrainingConfig(local_epochs=1, batch_size=12, lr=0.02).model_dump(),
        "rounds": 2,
        "seed": 5,
    }
    tree = preset(method).model_dump() | small
    tree["model"] |= {"width": 6, "fusion_hidden": 6}
    for key, value in changes.items():
        at, parts = tree, key.split("__")
        for part in parts[:-1]:
            at = at[part]
        at[parts[-1]] = value
    return RunConfig.model_validate(tree)


def everything_everywhere() -> dict[str, Any]:
    """Missingness that hides nothing."""
    return NaturalConfig().model_dump()


def roster_of(grid: InProcessGrid, config: RunConfig, spec: NetworkSpec, sites: int) -> Roster:
    """The roster after a profile round."""
    return profile_round(Register(grid, config, spec), config, spec, sites, strict=True).roster


@dataclass
class Federation:
    """A strategy with its sites behind an in-process grid, ready for round 1."""

    grid: InProcessGrid
    strategy: ComponentStrategy
    initial: GlobalState

    @property
    def sites(self) -> list[str]:
        """Sites in the order in which they are asked."""
        return list(self.strategy.roster.profiles)

    def warm(self, rounds: int = 3) -> Federation:
        """Start from a model that has learnt something, so that contributions differ between sites."""
        for number in range(1, rounds + 1):
            self.commit(self.train_replies(number).values(), number)
        self.initial = GlobalState(0, self.strategy.state.model, self.strategy.state.quality)
        self.rewind()
        return self

    def rewind(self) -> None:
        """Back to before round 1."""
        self.strategy.state, self.strategy.outcome = self.initial, None

    def train_replies(self, round_number: int = 1) -> dict[str, Message]:
        """Ask all sites; the reply of each."""
        from fedmce.flower_compat import ConfigRecord, array_record

        arrays = array_record(self.strategy.state.model)
        messages = self.strategy.configure_train(round_number, arrays, ConfigRecord(), self.grid)
        replies = {r.metadata.reply_to_message_id: r for r in exchange(self.grid, messages, Wait(60))}
        return {s: replies[m.metadata.message_id] for s, m in zip(self.sites, messages, strict=True)}

    def commit(self, replies: Iterable[Message], round_number: int = 1) -> GlobalState:
        """Aggregate the replies of the last :meth:`train_replies`."""
        self.strategy.aggregate_train(round_number, list(replies))
        return self.strategy.state


def open_federation(config: RunConfig, dataset: FederatedDataset, client_app: Any, run: Any) -> Federation:
    """Profile all sites and build the strategy as the server does; within ``identity`` only."""
    spec = spec_for(dataset, config)
    grid = InProcessGrid(client_app, len(dataset.sites), run)
    roster = roster_of(grid, config, spec, len(dataset.sites))
    initial = first_state(config, spec)
    return Federation(grid, ComponentStrategy(config, spec, roster, roster.statistics(spec), initial), initial)


def same_bits(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Equal keys, types, shapes and bytes."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a
    )


def with_garbage(dataset: FederatedDataset, config: RunConfig, garbage: Any) -> FederatedDataset:
    """The data set with every value that the mask hides, or that was never recorded, replaced.

    Args:
        dataset: the original.
        config: says what is hidden.
        garbage: ``count -> values``.
    """
    from fedmce.missingness import draw_masks

    masks = draw_masks(dataset, config.missingness, config.seed)
    sites = []
    for name, site in dataset.sites.items():
        features = {m: v.copy() for m, v in site.features.items()}
        for column, modality in enumerate(dataset.modalities):
            hidden = ~masks.sites[name].available[:, column]
            shape = (int(hidden.sum()), *modality.shape)
            features[modality.name][hidden] = garbage(int(np.prod(shape))).reshape(shape)
        sites.append(replace(site, features=features))
    return replace(dataset, sites={s.name: s for s in sites})
