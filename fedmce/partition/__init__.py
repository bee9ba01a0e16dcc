"""Partitioners: which training and validation rows lie at which site, drawn by seed."""

from fedmce.partition import dirichlet, natural_sites, quantity  # noqa: F401 - importing registers them
from fedmce.partition.partitioner import PARTITIONERS, Partitioner, partitioned, partitioner

__all__ = ["PARTITIONERS", "Partitioner", "partitioned", "partitioner"]
