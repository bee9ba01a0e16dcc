"""What a choice of quality is, and the registry of choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedmce.config.quality import QualityConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.registry import registrar

Quality = Callable[[Any, FederatedDataset, int], FederatedDataset]
QUALITIES: dict[str, Quality] = {}
# its config section, the data set after the partition, seed -> the same rows with other values
quality = registrar(QUALITIES, "quality")


def with_quality(dataset: FederatedDataset, config: QualityConfig, seed: int) -> FederatedDataset:
    """The data set as its sensors measured it.

    Args:
        dataset: after the partition; left as it is.
        config: section ``quality``.
        seed: root of all draws. The order of sites in memory has no influence.

    Returns:
        The same object for ``clean``, else a data set of the same sites, rows, labels, splits and gaps.

    Raises:
        ConfigError: a name that the data set does not have, or a sensor that cannot be degraded so.
    """
    return QUALITIES[config.name](config, dataset, seed)
