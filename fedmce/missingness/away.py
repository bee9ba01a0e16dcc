"""Availability by the round: a modality of a site may be away for a round and come back."""

from __future__ import annotations

from collections.abc import Sequence

from fedmce.config.masked import MaskedSection
from fedmce.streams import keyed_uniforms


def away_modalities(config: MaskedSection, seed: int, site: str, round: int, held: Sequence[str]) -> tuple[str, ...]:
    """Modalities that a site cannot use in a round.

    Each is away with probability ``config.away``, in every round anew. Where all would be away, the one that was least
    likely to be (the highest number drawn) stays; so at ``away=1`` every site has one modality per round.

    Args:
        config: section of the group ``missingness``.
        seed: root seed.
        site: its name.
        round: number of the round.
        held: modalities that the site holds at all.

    Returns:
        Those of ``held`` that are away, in its order; never all of them. What happens to one modality does not
        depend on which others the site holds, but for the rule that one stays.
    """
    if config.away == 0 or len(held) == 0:
        return ()
    draws = dict(zip(held, keyed_uniforms(seed, "away", site, [f"round {round}"], list(held))[0], strict=True))
    away = tuple(name for name in held if draws[name] < config.away)
    if len(away) < len(held):
        return away
    stays = max(held, key=lambda name: (draws[name], name))
    return tuple(name for name in held if name != stays)
