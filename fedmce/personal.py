"""Which kinds of components stay at the sites, and in which round."""

from __future__ import annotations

from fedmce.config.schema import RunConfig

Kinds = tuple[str, ...]


def kept_down(config: RunConfig, round_number: int) -> Kinds:
    """Kinds that the server does not send in this round: the site works on its own."""
    return config.aggregation.private


def kept_up(config: RunConfig, round_number: int) -> Kinds:
    """Kinds that the site does not return in this round."""
    return config.aggregation.private
