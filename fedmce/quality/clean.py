"""``clean``: values as they were measured."""

from __future__ import annotations

from fedmce.config.quality import CleanConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.quality.quality import quality


@quality("clean")
def clean(config: CleanConfig, dataset: FederatedDataset, seed: int) -> FederatedDataset:
    """The very data set that was given."""
    return dataset
