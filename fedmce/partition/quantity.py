"""``quantity``: sites of unequal size with the same classes (Q. Li, Y. Diao, Q. Chen, B. He, "Federated learning on
non-IID data silos: an experimental study", ICDE 2022, section IV-C).
"""

from __future__ import annotations

import numpy as np

from fedmce.config.partition import QuantityConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.partition.deal import deal_anew, site_names
from fedmce.partition.partitioner import partitioner
from fedmce.streams import generator


@partitioner("quantity")
def quantity(config: QuantityConfig, dataset: FederatedDataset, seed: int) -> FederatedDataset:
    """Deal every class by one draw of site sizes q ~ Dirichlet(concentration, ..., concentration)."""
    count = len(site_names(dataset, config))
    sizes = generator(seed, "partition", "quantity", "sizes").dirichlet(np.full(count, config.concentration))
    shares = np.tile(sizes, (len(dataset.task.classes), 1))
    how = f"sizes by Dirichlet shares of concentration {config.concentration:g}, classes alike"
    return deal_anew(dataset, config, shares, seed, how)
