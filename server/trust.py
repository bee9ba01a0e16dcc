"""What a site's word buys: its claims and its share of each component within bounds (fedmce/aggregation/claims.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fedmce.aggregation import bounded_claims, capped_shares, share_limits
from fedmce.config.schema import AggregationConfig, RunConfig
from fedmce.contributions.tally import Scores
from fedmce.models import modality_of
from server.gate import Accepted
from server.roster import Roster


@dataclass(frozen=True)
class Used:
    """What one site's claim on one modality became.

    Attributes:
        claimed: after shrinking and smoothing; None where the site made none.
        used: what its weight was multiplied with.
        source: ``received``, ``heldout`` or ``server``; ``earlier`` where only earlier rounds brought a claim, ``mean``
            where none did and the others' mean (unbounded: 1) stands in; ``entropy`` with weighting=inverse_entropy.
    """

    claimed: float | None
    used: float
    source: str


Claims = dict[str, dict[str, Used]]  # modality (or ``fusion``) -> site


def used_claims(
    accepted: Mapping[str, Accepted],
    quality: Mapping[str, Mapping[str, float]],
    by_site: Mapping[str, Scores],
    roster: Roster,
    config: RunConfig,
) -> Claims:
    """What the claims of this round's holders become; nothing where weights rest on rows alone.

    Args:
        accepted: replies of the round.
        quality: ratio per site and modality, also of sites that said nothing this time.
        by_site: contributions of the sites that did.
        roster: for rows, which say how much a claim counts in the mean.
        config: the run.
    """
    told = config.aggregation
    if told.weighting not in ("contribution", "inverse_entropy"):
        return {}
    found: Claims = {}
    for subject, holders in _holders(accepted).items():
        is_modality = subject in roster.names
        if told.weighting == "inverse_entropy":
            claimed: Scores = {s: 1.0 / float(accepted[s].told["entropy"]) for s in holders}
            sources = dict.fromkeys(holders, "entropy")
        elif is_modality:
            claimed = {s: quality.get(s, {}).get(subject) for s in holders}
            sources = {s: _source(claimed[s], by_site.get(s, {}).get(subject), config) for s in holders}
        else:
            continue  # fusion belongs to no modality, so no contribution speaks for it
        whole = f"encoder.{subject}" if is_modality else subject
        used = _used(claimed, {s: _rows(roster, s, whole, told) for s in holders}, config)
        found[subject] = {s: Used(claimed[s], used[s], sources[s]) for s in holders}
    return found


def claim_rows(claims: Claims) -> dict[str, dict[str, dict[str, Any]]]:
    """For the record: site -> modality -> claimed, used, source."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for subject, by_site in claims.items():
        for site, used in by_site.items():
            found.setdefault(site, {})[subject] = asdict(used)
    return {site: found[site] for site in sorted(found)}


def _holders(accepted: Mapping[str, Accepted]) -> dict[str, list[str]]:
    """Modality, or ``fusion`` -> sites that trained a component of it, by name."""
    found: dict[str, dict[str, None]] = {}
    for site in sorted(accepted):
        for component, rows in accepted[site].rows.items():
            if rows > 0:
                found.setdefault(modality_of(component) or component, {})[site] = None
    return {subject: list(found[subject]) for subject in sorted(found)}


def _source(claim: float | None, said: float | None, config: RunConfig) -> str:
    if claim is None:
        return "mean"
    return "earlier" if said is None else config.contributions.source


def _used(claimed: Scores, rows: Mapping[str, float], config: RunConfig) -> dict[str, float]:
    bounds = config.aggregation.claims
    if not bounds.bounded:
        return {site: 1.0 if claim is None else claim for site, claim in claimed.items()}
    cap = bounds.cap_checked if config.contributions.source == "server" else bounds.cap_self
    return bounded_claims(claimed, rows, cap=cap, floor=bounds.floor)


def _rows(roster: Roster, site: str, component: str, config: AggregationConfig) -> float:
    """Rows by the site's profile, as far as it may count for them."""
    return float(max(1, bounded_rows(roster.rows_of(site, component), config)))


def bounded_rows(rows: int, config: AggregationConfig) -> int:
    """Rows that a site may count for."""
    bounds = config.claims
    return min(rows, bounds.max_rows) if bounds.bounded and bounds.max_rows is not None else rows


def within_shares(
    weights: Mapping[str, float], component: str, roster: Roster, config: AggregationConfig
) -> dict[str, float]:
    """Weights of a component's holders within the largest share that each may have."""
    bounds = config.claims
    if not bounds.bounded:
        return dict(weights)
    rows = {site: _rows(roster, site, component, config) for site in weights}
    return capped_shares(weights, share_limits(rows, slack=bounds.share_slack, most=bounds.share_most))
