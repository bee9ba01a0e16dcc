"""``natural_sites``: the sites that the data came from."""

from __future__ import annotations

from fedmce.config.partition import NaturalSitesConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.partition.partitioner import partitioner


@partitioner("natural_sites")
def natural_sites(config: NaturalSitesConfig, dataset: FederatedDataset, seed: int) -> FederatedDataset:
    """The very data set that was given."""
    return dataset
