"""The check of a robust rule against who holds what, before the first round."""

from __future__ import annotations

from typing import Any

from fedmce.aggregation import Bearable, bearable
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.objectives import SHARED
from server.roster import Roster


def bearable_rows(config: RunConfig, roster: Roster) -> list[Bearable]:
    """What ``aggregation.robust`` bears for every component that travels, weakest first; nothing with rule=mean.

    Raises:
        ConfigError: with ``robust.strict``, a component has too few holders for the rule.
    """
    told = config.aggregation
    if told.robust.rule == "mean":
        return []
    holders = {c: n for c, n in roster.holders.items() if c.partition(".")[0] not in told.private}
    rows = bearable(told.robust, holders, config.objective.name if config.objective.name in SHARED else "")
    if told.robust.strict and (weak := [row for row in rows if row.warning]):
        listed = "; ".join(f"{row.component}: {row.warning}" for row in weak)
        raise ConfigError(
            f"aggregation.robust: given rule={told.robust.rule}, strict=true; {listed}. "
            "let more sites hold these, choose rule=clip, or set strict=false"
        )
    return rows


def bearable_fields(config: RunConfig, roster: Roster) -> dict[str, Any]:
    """Field ``bearable`` of the ``start`` event; none with rule=mean."""
    rows = bearable_rows(config, roster)
    return {"bearable": [row.row() for row in rows]} if rows else {}
