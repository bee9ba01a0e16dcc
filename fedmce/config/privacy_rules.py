"""What privacy floors exclude elsewhere in a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedmce.config.privacy import PrivacyConfig

if TYPE_CHECKING:
    from fedmce.config.schema import RunConfig

# Objectives that tell arrays beside the update, which no floor looks at; a test holds them equal to
# `fedmce.objectives.SHARED`.
TELLING = ("fedmsplit", "flism", "harmony", "prototypes", "scaffold")


def privacy_problems(config: RunConfig) -> Iterator[str]:
    """What does not go together, one message each."""
    floors = config.privacy
    if config.engine.name == "deployed":
        yield from between_sites_problems(floors)
    if config.sites is not None:
        yield from asked_problems(floors, len(config.sites))
    if floors.is_open:
        return
    if config.model.normalisation == "batch" and "normalisation" not in config.aggregation.private:
        yield (
            "model.normalisation: given batch with floors of privacy; its running statistics are means of the rows that "
            "a site holds. needed none, or aggregation.private=[normalisation]"
        )
    if config.objective.name in TELLING:
        yield (
            f"objective: given {config.objective.name} with floors of privacy; it tells arrays beside the update, which "
            "no floor covers. needed another objective, or privacy=open"
        )


def between_sites_problems(floors: PrivacyConfig) -> Iterator[str]:
    """What floors must hold between real sites: asked of a plan when it is provisioned and whenever it is run (K04)."""
    if floors.k_min < 2 and not floors.i_know:
        yield (
            f"privacy.k_min: given {floors.k_min} between real sites, where a count of one is one person; needed at "
            "least 2. use privacy=floors, or say --i-know (privacy.i_know=true) if no row is anybody's"
        )


def asked_problems(floors: PrivacyConfig, sites: int) -> Iterator[str]:
    """``min_asked`` against how many sites there are."""
    if sites < floors.min_asked > 1:
        yield (
            f"privacy.min_asked: given {floors.min_asked}, with {sites} sites; no site would ever answer. "
            "needed at most the number of sites"
        )


def privacy_warnings(config: RunConfig) -> list[str]:
    """What the operator of a run between real sites must read at each start."""
    if config.engine.name == "deployed" and config.privacy.k_min < 2:
        return ["privacy.k_min=1 by privacy.i_know: counts of single rows leave the sites"]
    return []
