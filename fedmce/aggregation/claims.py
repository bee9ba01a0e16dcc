"""What a claim of one's own contribution can buy: claims held against those of others, and a cap on every share.

Claims are numbers that a site says of itself. Each is compared with the median of the *other* holders (with two holders
a median that includes the liar caps nothing), and whatever is left of a lie meets the cap on the site's share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import isfinite

ROUNDING = 1e-12


def bounded_claims(
    claimed: Mapping[str, float | None], rows: Mapping[str, float], *, cap: float, floor: float
) -> dict[str, float]:
    """Claims between ``floor`` and ``cap`` times the median of the other holders' claims.

    Low claims are raised first and the caps are worked out from what that leaves: else a holder that claims next to
    nothing would pull the cap of another below its own floor, and gain by it.

    Args:
        claimed: per holder, any number; None, NaN or infinite = no claim, below 0 counts as 0.
        rows: per holder, positive: how much its claim says of the mean that stands in for claims not made.
        cap: at least 1.
        floor: above 0, at most 1.

    Returns:
        A positive number per holder, the mean of the others where it made no claim; 1 for all where there is nothing
        to compare: fewer than two claims, or none above 0.
    """
    known = {s: max(float(c), 0.0) for s in sorted(claimed) if (c := claimed[s]) is not None and isfinite(c)}
    used = dict(known)
    if len(known) > 1:
        others = _medians_of_others(known)
        raised = {site: max(claim, floor * others[site]) for site, claim in known.items()}
        others = _medians_of_others(raised)
        used = {site: min(claim, cap * others[site]) for site, claim in raised.items()}
    if len(claimed) < 2 or not all(value > 0 for value in used.values()) or not used:
        return dict.fromkeys(sorted(claimed), 1.0)
    mean = sum(rows[s] * used[s] for s in used) / sum(rows[s] for s in used)
    return {site: used.get(site, mean) for site in sorted(claimed)}


def _medians_of_others(values: Mapping[str, float]) -> dict[str, float]:
    """Median of all values but the own, for each of at least two."""
    ordered = sorted(values.values())
    low, high = (len(ordered) - 2) // 2, (len(ordered) - 1) // 2  # middle places among one fewer

    def left(place: int, own: int) -> float:
        return ordered[place if place < own else place + 1]

    places = {site: bisect_left(ordered, value) for site, value in values.items()}
    return {site: (left(low, own) + left(high, own)) / 2 for site, own in places.items()}


def share_limits(rows: Mapping[str, float], *, slack: float, most: float) -> dict[str, float]:
    """Largest share of each holder: min(most, max(1/H, its part of the rows) + slack), never below 1/H; 1 if alone.

    Args:
        rows: of each holder by its profile, positive.
        slack: beyond its part.
        most: for anyone. The limits add up to 1 at least, so that shares can keep to them.
    """
    equal, total = 1.0 / len(rows), sum(rows[site] for site in sorted(rows))
    if len(rows) == 1:
        return dict.fromkeys(rows, 1.0)
    return {s: max(min(most, max(equal, n / total) + slack), equal) for s, n in sorted(rows.items())}


def capped_shares(weights: Mapping[str, float], limits: Mapping[str, float]) -> dict[str, float]:
    """Weights as shares within their limits; what is cut off goes to the others in proportion (water-filling).

    Args:
        weights: not negative, some positive.
        limits: per holder; they add up to at least 1.

    Returns:
        Shares that sum to 1, in order of names; the weights to the bit where they keep to their limits and sum to 1.
        At most as many passes as holders, since each fixes at least one.
    """
    total = sum(weights[site] for site in sorted(weights))
    shares = {site: weights[site] / total for site in sorted(weights)}
    if all(share <= limits[site] for site, share in shares.items()):
        return {site: weights[site] for site in shares} if abs(total - 1) < ROUNDING else shares
    full: dict[str, float] = {}
    free = dict(shares)
    for _ in range(len(weights)):
        over = [site for site, share in free.items() if share > limits[site]]
        if not over:
            break
        full |= {site: limits[site] for site in over}
        rest = {site: shares[site] for site in free if site not in full}
        left, held = max(0.0, 1.0 - sum(full.values())), sum(rest.values())
        free = {s: left * share / held if held > 0 else left / len(rest) for s, share in rest.items()}
    return {site: full[site] if site in full else free[site] for site in shares}
