"""Whose rows take part, and who answers for them."""

from __future__ import annotations

from collections.abc import Iterable

from fedmce.config.schema import RunConfig

POOLED = "all"  # the one site of ``scope=pooled``


def participants(config: RunConfig, sites: Iterable[str]) -> tuple[str, ...]:
    """Sites whose rows take part: those that the configuration names, or all of the data set."""
    return config.sites or tuple(sites)


def nodes(config: RunConfig, sites: Iterable[str]) -> tuple[str, ...]:
    """Who answers: each participant for itself, or one for all (``scope=pooled``); a single one is all."""
    everybody = participants(config, sites)
    return (POOLED,) if config.scope == "pooled" and len(everybody) > 1 else everybody
