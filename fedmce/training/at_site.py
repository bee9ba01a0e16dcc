"""Rows of a site on the device, with what its training rows lend to them where neighbours stand in for gaps."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.missingness import ObservedRows, draw_site_mask, join_rows, observe
from fedmce.models import Statistics
from fedmce.objectives.pairs import all_pairs
from fedmce.scope import participants
from fedmce.training.device_rows import DeviceRows
from fedmce.training.neighbours import Imputer


def with_neighbours(
    config: RunConfig,
    rows: ObservedRows,
    donors: ObservedRows | None,
    statistics: Mapping[str, Statistics],
    modalities: tuple[str, ...],
) -> Imputer | None:
    """What fills the gaps of these rows; None unless ``model.absent=knn_input``."""
    if config.model.absent != "knn_input":
        return None
    return Imputer(rows, donors, statistics, modalities, config.model.neighbours)


def rows_at_site(
    config: RunConfig,
    dataset: FederatedDataset,
    rows: ObservedRows,
    statistics: Mapping[str, Statistics],
    device: torch.device,
) -> DeviceRows:
    """Rows of one site for whoever holds the whole data set (simulation).

    Donors are the training rows of the same site under the masks of the run (all sites' with ``scope=pooled``); a
    site that never trains has none, so that the federated mean stands in.
    """
    names = tuple(modality.name for modality in dataset.modalities)
    donors = _training_rows(config, dataset, rows.site) if config.model.absent == "knn_input" else None
    imputer = with_neighbours(config, rows, donors, statistics, names)
    return DeviceRows(rows, statistics, names, device, imputer=imputer)


def _training_rows(config: RunConfig, dataset: FederatedDataset, site: str) -> ObservedRows:
    everybody = sorted(participants(config, dataset.sites))
    found = []
    for name in everybody if config.scope == "pooled" else [site]:
        mask, _ = draw_site_mask(dataset, dataset.sites[name], config.missingness, config.seed)
        found.append(observe(dataset.sites[name], mask, dataset.modalities, "train"))
    return join_rows(site, found)


def stand_in_counts(rows: Mapping[str, DeviceRows]) -> dict[str, dict[str, int]] | None:
    """Per modality, over all scored (row, subset) pairs: ``stand_ins``, and ``federated_mean``, those without a donor.

    Args:
        rows: per site.

    Returns:
        None where nothing is filled from neighbours.
    """
    total: dict[str, dict[str, int]] = {}
    for held in rows.values():
        if not held.fills:
            return None
        pairs = all_pairs(held.observed.available)
        for name, (count, without) in held.without_donor(pairs.row, pairs.member).items():
            here = total.setdefault(name, {"stand_ins": 0, "federated_mean": 0})
            here["stand_ins"] += count
            here["federated_mean"] += without
    return total
