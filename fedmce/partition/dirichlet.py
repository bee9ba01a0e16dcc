"""``dirichlet``: label skew, class by class (T. M. H. Hsu, H. Qi, M. Brown 2019, "Measuring the effects of
non-identical data distribution"; shared out per class as in Q. Li, Y. Diao, Q. Chen, B. He, ICDE 2022, section IV-A).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.partition import DirichletConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.partition.deal import deal_anew, site_names
from fedmce.partition.partitioner import partitioner
from fedmce.streams import generator


def class_shares(classes: tuple[str, ...], sites: int, concentration: float, seed: int) -> npt.NDArray[np.float64]:
    """Share of each class at each site, p_c ~ Dirichlet(concentration, ..., concentration).

    Args:
        classes: names; each has a stream of its own.
        sites: how many.
        concentration: alpha; small = few sites hold most of a class.
        seed: root of the draw.

    Returns:
        ``(classes, sites)``, rows summing to 1, each entry 1 / sites in expectation.
    """
    alpha = np.full(sites, concentration)
    return np.stack([generator(seed, "partition", "dirichlet", "class", name).dirichlet(alpha) for name in classes])


@partitioner("dirichlet")
def dirichlet(config: DirichletConfig, dataset: FederatedDataset, seed: int) -> FederatedDataset:
    """Deal each class's training and validation rows by the same Dirichlet shares."""
    count = len(site_names(dataset, config))
    shares = class_shares(dataset.task.classes, count, config.concentration, seed)
    how = f"each class by Dirichlet shares of concentration {config.concentration:g}"
    return deal_anew(dataset, config, shares, seed, how)
