"""What a partitioner is, and the registry of partitioners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedmce.config.partition import PartitionConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.registry import registrar

Partitioner = Callable[[Any, FederatedDataset, int], FederatedDataset]
PARTITIONERS: dict[str, Partitioner] = {}
# its config section, the data set as loaded, seed -> a data set with the same rows at other sites
partitioner = registrar(PARTITIONERS, "partitioner")


def partitioned(dataset: FederatedDataset, config: PartitionConfig, seed: int) -> FederatedDataset:
    """The data set with its rows where the configuration wants them.

    Args:
        dataset: as loaded; left as it is.
        config: section ``partition``.
        seed: root of the deal. The order of sites in memory has no influence.

    Returns:
        The same object for ``natural_sites``, else a new data set of the same name and rows.

    Raises:
        ConfigError: the rows do not suffice for what is asked.
    """
    return PARTITIONERS[config.name](config, dataset, seed)
