"""What a robust rule bears, per component, said before a run: a rule is worth nothing where too few hold a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fedmce.aggregation.robust import NEEDED, plan_for
from fedmce.config.trust import RobustConfig


@dataclass(frozen=True)
class Bearable:
    """One component under a rule.

    Attributes:
        component: its name.
        holders: sites that hold it.
        rule: what is done with that many holders.
        liars: most holders that may send anything without deciding any entry of the component.
        warning: what the rule cannot do here; empty if it does what its name says.
    """

    component: str
    holders: int
    rule: str
    liars: int
    warning: str = ""

    def row(self) -> dict[str, str | int]:
        """For the record."""
        return asdict(self)


def bearable(config: RobustConfig, holders: Mapping[str, int], shared: str = "") -> list[Bearable]:
    """Component x holders x liars that the rule bears when all holders answer, fewest first.

    Of H holders, median bears floor((H - 1) / 2); trimmed as many as it drops at each end. mean and clip bear none:
    clip bounds how far a liar moves a component in a round, not where to.

    Args:
        config: the rule.
        holders: sites per component.
        shared: name of an objective that shares arrays beside the model, if it does: no rule covers these.
    """
    rows = [_judged(config, component, count) for component, count in holders.items() if count > 0]
    if shared and config.rule != "mean":
        text = "arrays that the objective shares beside the model are joined by its own rule"
        rows.append(Bearable(f"shared by {shared}", max(holders.values(), default=0), "its own", 0, text))
    return sorted(rows, key=lambda row: (row.liars, row.holders, row.component))


def _judged(config: RobustConfig, component: str, count: int) -> Bearable:
    plan = plan_for(config, count)
    liars = {"mean": 0, "median": (count - 1) // 2, "trimmed": plan.trimmed}[plan.reduction]
    warning = ""
    if config.rule not in ("mean", "clip") and count < NEEDED:
        warning = f"{config.rule} needs {NEEDED} holders; with {count} a change is clipped, whatever its direction"
    return Bearable(component, count, plan.name, liars, warning)
