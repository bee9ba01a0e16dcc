"""Which kinds of components stay at the sites, in which round, and who sits a round out."""

from __future__ import annotations

from fedmce.config.schema import HarmonyConfig, RunConfig

Kinds = tuple[str, ...]
OWN_AFTER_STAGE_1: Kinds = ("encoder", "head")  # of Harmony: what a site trains on for itself

EVERY_KIND = frozenset({"encoder", "projection", "head", "completion", "fusion"})


def shares_nothing(config: RunConfig) -> bool:
    """Every site works alone: not even counts of rows and statistics of the others reach it."""
    return set(config.aggregation.private) >= EVERY_KIND


def in_second_stage(config: RunConfig, round_number: int) -> bool:
    """Whether the round belongs to Harmony's stage 2."""
    objective = config.objective
    return isinstance(objective, HarmonyConfig) and round_number > objective.first_stage(config.rounds)


def kept_down(config: RunConfig, *, has_own: bool) -> Kinds:
    """Kinds that the server does not send, since the site works on its own.

    Args:
        config: of the run.
        has_own: the site has told that it trained components of its own; only Harmony's sites begin without.
    """
    if config.aggregation.rule == "harmony":
        return OWN_AFTER_STAGE_1 if has_own else ()
    return config.aggregation.private


def kept_up(config: RunConfig, round_number: int) -> Kinds:
    """Kinds that the site keeps and does not return in this round."""
    if config.aggregation.rule == "harmony":
        return OWN_AFTER_STAGE_1 if in_second_stage(config, round_number) else ()
    return config.aggregation.private


def sits_out(config: RunConfig, round_number: int, modalities: int) -> bool:
    """Whether a site that holds so many modalities is not asked to train in this round."""
    return modalities < 2 and in_second_stage(config, round_number)
