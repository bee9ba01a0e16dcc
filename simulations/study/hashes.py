"""Hashes that prove that two runs are a pair: the same rows in the same splits, the same initial weights."""

from __future__ import annotations

import hashlib

from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset, dataset_of
from fedmce.models import MultimodalNet, components, select, state_of
from fedmce.networks import spec_for
from fedmce.wire import digest


def splits_sha256(dataset: FederatedDataset) -> str:
    """Hash of which row (site, sample id, class) is in which split; independent of the order of sites."""
    found = hashlib.sha256()
    for name in sorted(dataset.sites):
        site = dataset.sites[name]
        rows = zip(site.sample_ids, site.split.tolist(), site.targets.tolist(), strict=True)
        found.update(
            "\x1e".join([name, *(f"{sample}\x1f{split}\x1f{target}" for sample, split, target in rows)]).encode()
        )
    return found.hexdigest()


def initial_hashes(config: RunConfig) -> dict[str, str]:
    """Component -> ``<shapes>:<values>``, hashes of its parameters before the first round.

    Initial values come from streams of (seed, component) alone, so that methods with the same part start from
    the same values in it; where the shapes differ, the part is another one.
    """
    state = state_of(MultimodalNet(spec_for(dataset_of(config), config), seed=config.seed))
    found = {}
    for name in components(state):
        part = select(state, [name])
        shapes = hashlib.sha256(repr(sorted((key, value.shape) for key, value in part.items())).encode()).hexdigest()
        found[name] = f"{shapes[:12]}:{digest(part)}"
    return found
