"""What the gate may say of a reply: a closed list of reasons, each with its check, its scope and its strike."""

from __future__ import annotations

from collections.abc import Hashable, Set
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fedmce.contributions import Tally
from fedmce.metrics import Cells
from fedmce.models import State
from fedmce.objectives.objective import Arrays
from fedmce.training import ScoredRows

Reason = Literal[
    "late",
    "wrong_run",
    "unknown_node",
    "wrong_round",
    "duplicate",
    "site_error",
    "transport",
    "layout",
    "too_large",
    "schema",
    "wrong_site",
    "stale_base",
    "wrong_config",
    "unknown_component",
    "not_granted",
    "key_set",
    "header",
    "dtype",
    "shape",
    "count_type",
    "count_range",
    "count_above_profile",
    "steps",
    "claim",
    "metric",
    "nonfinite",
    "magnitude",
    "norm",
    "copied",
    "idle",
    "internal",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

# Number of the check in docs/gate.md that gives each reason.
CHECKS: dict[Reason, int] = {
    "late": 1,
    "wrong_run": 2,
    "unknown_node": 3,
    "wrong_round": 4,
    "duplicate": 5,
    "site_error": 6,
    "transport": 7,
    "layout": 8,
    "too_large": 9,
    "schema": 10,
    "wrong_site": 11,
    "stale_base": 11,
    "wrong_config": 11,
    "unknown_component": 12,
    "not_granted": 13,
    "key_set": 14,
    "header": 15,
    "dtype": 16,
    "shape": 17,
    "count_type": 18,
    "count_range": 19,
    "count_above_profile": 20,
    "steps": 21,
    "claim": 22,
    "metric": 23,
    "nonfinite": 24,
    "magnitude": 25,
    "norm": 26,
    "copied": 27,
    "idle": 28,
    "internal": 29,
}

Strike = Literal["none", "liveness", "content"]
_LIVENESS: Set[Reason] = {"late", "site_error", "transport"}
# A repeat on the network, an answer to an older message and a change of nothing are no guilt.
_NO_GUILT: Set[Reason] = {"wrong_run", "unknown_node", "wrong_round", "duplicate", "idle"}
LONGEST_DETAIL, LONGEST_NAME = 300, 80
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/+-")


@dataclass(frozen=True)
class Refused:
    """A reply that is set aside.

    Attributes:
        reason: why.
        detail: site, check, component and what was given; a sentence of ours without text of the reply.
        component: that was looked at, if the check looks at components.
    """

    reason: Reason
    detail: str = ""
    component: str | None = None

    @property
    def check(self) -> int:
        """Number of the check (docs/gate.md)."""
        return CHECKS[self.reason]


@dataclass(frozen=True)
class Note:
    """Something in an accepted reply that is not used, or that is worth a line in the log.

    Attributes:
        reason: why.
        detail: as that of a refusal.
        component: that is set aside or idle; None where claims, metrics or the whole reply are meant.
    """

    reason: Reason
    detail: str = ""
    component: str | None = None


@dataclass(frozen=True)
class Accepted:
    """A reply that may be used.

    Attributes:
        update: the trained components; those that were set aside or left out are missing.
        rows: rows behind each granted component; 0 where it has no weight.
        tally: claims of contributions; None where none are due, or where they were dropped.
        cells: metric sums; empty where metrics were dropped.
        losses: mean losses of local training; empty where metrics were dropped.
        seconds: ``train_s`` and ``evaluate_s``; 0 where metrics were dropped.
        told: arrays that the objective shares.
        notes: what was not used, and why.
        norms: length of the change per component of ``update``, for the history of norms and for clipping.
        steps: of local training.
        mark: equal for two updates with the same bytes; None where nothing moved.
        scored: sums of test rows that the site alone holds; None where none are due, or where they were dropped.
    """

    update: State
    rows: dict[str, int]
    tally: Tally | None
    cells: Cells
    losses: dict[str, float]
    seconds: dict[str, float]
    told: Arrays = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    norms: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    mark: Hashable = field(default=None, repr=False)
    scored: ScoredRows | None = field(default=None, repr=False)

    @property
    def left_out(self) -> frozenset[str]:
        """Granted components that the reply does not hold."""
        return frozenset(n.component for n in self.notes if n.reason == "key_set" and n.component)

    @property
    def set_aside(self) -> dict[str, Reason]:
        """Components that are not used, and why."""
        aside: Set[Reason] = {"count_range", "norm"}
        return {n.component: n.reason for n in self.notes if n.reason in aside and n.component}


Verdict = Accepted | Refused


def strike(reason: Reason) -> Strike:
    """Whether a reason speaks against a site, and of what: not being there, or what it sends."""
    if reason in _LIVENESS:
        return "liveness"
    return "none" if reason in _NO_GUILT else "content"


def strike_of(verdict: Verdict, left_out_before: Set[str] = frozenset()) -> Strike:
    """What a verdict adds to the standing of its site.

    What is dropped of an accepted reply is no strike; leaving a component out is one the second time running.

    Args:
        verdict: of this round.
        left_out_before: components that the site left out of its last reply (``Accepted.left_out``).
    """
    if isinstance(verdict, Refused):
        return strike(verdict.reason)
    return "content" if verdict.left_out & left_out_before else "none"


def shown(value: Any) -> str:
    """A value from a reply as it may stand in a log: short, on one line, nothing of a text but a plain name."""
    if isinstance(value, str):
        plain = len(value) <= LONGEST_NAME and _PLAIN.issuperset(value)
        return repr(value) if plain else f"a text of {len(value)} characters"
    if isinstance(value, bool | float | None):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
