"""Equal holders of two modalities, made by hand: rosters, replies and rounds of the aggregation without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from fedmce.aggregation import QualityState
from fedmce.config.schema import RunConfig
from server.aggregate import Step, aggregate
from server.gate import Accepted
from server.insight import Insight
from server.roster import Roster, RowCounts, SiteProfile
from server.state import GlobalState
from tests.server.made import made_config

MODALITIES = ("a", "b")
COMPONENTS = ("encoder.a", "encoder.b", "fusion")
PLAIN = {"aggregation__saturation_rows": None, "aggregation__fusion_counts": "rows"}
State = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def config(**changes: Any) -> RunConfig:
    """The preset ``fedmce`` with rows that do not saturate; ``changes`` are keys, dots as ``__``."""
    return made_config("fedmce", **(PLAIN | changes))


def names(count: int) -> list[str]:
    """Sites; the first one lies."""
    return [f"s{i:02d}" for i in range(count)]


def profile(site: str, rows: int) -> SiteProfile:
    counts = RowCounts({3: rows}, {(0, 2): rows, (1, 2): rows})
    return SiteProfile(
        site, 1, rows, 0, dict.fromkeys(MODALITIES, rows), counts, None, (rows // 2, rows - rows // 2), {}
    )


def roster(rows: Mapping[str, int], components: tuple[str, ...] = COMPONENTS) -> Roster:
    """Every site holds both modalities in all of its rows."""
    spec = cast(Any, None)  # only objectives that share arrays read it
    return Roster({site: profile(site, n) for site, n in sorted(rows.items())}, MODALITIES, False, components, spec)


def accepted(update: State, rows: int, components: tuple[str, ...] = COMPONENTS) -> Accepted:
    return Accepted(update, dict.fromkeys(components, rows), None, {}, {}, {})


def insight(claims: Mapping[str, float] | None = None) -> Insight:
    """Each site claims one ratio for both modalities; none claims anything if left out."""
    told = {site: dict.fromkeys(MODALITIES, claim) for site, claim in (claims or {}).items()}
    said: dict[str, dict[str, float | None]] = {site: dict(ratios) for site, ratios in told.items()}
    return Insight(dict.fromkeys(MODALITIES), dict.fromkeys(MODALITIES), said, {}, told, QualityState())


def zeros(size: int = 4) -> State:
    return {f"{component}/w": np.zeros(size, np.float32) for component in COMPONENTS}


def round_of(
    changes: Mapping[str, np.ndarray[Any, Any]],
    told: RunConfig,
    *,
    state: GlobalState | None = None,
    claims: Mapping[str, float] | None = None,
    rows: Mapping[str, int] | int = 40,
    profiles: Mapping[str, int] | int = 40,
) -> Step:
    """One round: every site changes every component alike."""
    size = next(iter(changes.values())).size
    before = state or GlobalState(0, zeros(size))
    counts = rows if isinstance(rows, Mapping) else dict.fromkeys(changes, rows)
    held = profiles if isinstance(profiles, Mapping) else dict.fromkeys(changes, profiles)
    replies = {
        site: accepted({k: (v + change).astype(np.float32) for k, v in before.model.items()}, counts[site])
        for site, change in changes.items()
    }
    return aggregate(before, replies, roster(held), told, insight(claims))


def shares(count: int, told: RunConfig, **lies: Any) -> float:
    """Share that the first of ``count`` holders gets of ``encoder.a``, in per cent."""
    step = round_of({site: np.ones(2) for site in names(count)}, told, **lies)
    assert sum(step.weights["encoder.a"].values()) == 1 or abs(sum(step.weights["encoder.a"].values()) - 1) < 1e-12
    return 100 * step.weights["encoder.a"]["s00"]
