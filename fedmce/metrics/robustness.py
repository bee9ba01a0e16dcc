"""How a table of scores per subset reads for somebody who loses modalities.

P(S) is the score with only the subset S shown, F the set of all modalities. A score that no row defines
is None and takes part in nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

Table = Mapping[str, float | None]


@dataclass(frozen=True)
class Deployed:
    """Mean score under a distribution of patterns.

    Attributes:
        score: sum of pi(S) P(S) over the subsets that have a score, divided by ``covered``; None if there are none.
        covered: share of the distribution whose subsets have a score, 0 to 1.
    """

    score: float | None
    covered: float


def pattern_shares(rows: Iterable[Mapping[str, int]]) -> dict[str, float]:
    """pi(S): share of rows whose pattern is S, over sites; empty without rows.

    Args:
        rows: per site, rows by the subset that they hold (the profile's ``patterns``).

    >>> pattern_shares([{"a": 3}, {"a": 1, "a+b": 4}])
    {'a': 0.5, 'a+b': 0.5}
    """
    total: dict[str, int] = {}
    for patterns in rows:
        for subset, count in patterns.items():
            total[subset] = total.get(subset, 0) + count
    every = sum(total.values())
    return {subset: count / every for subset, count in sorted(total.items()) if count}


def deployed(per_subset: Table, shares: Mapping[str, float]) -> Deployed:
    """The score to expect where patterns occur as often as ``shares`` say.

    Args:
        per_subset: P(S).
        shares: pi(S) >= 0; need not add up to 1. A subset without a score counts in ``covered`` alone.

    >>> deployed({"a": 0.5, "b": None, "a+b": 0.9}, {"a": 0.25, "b": 0.5, "a+b": 0.25})
    Deployed(score=0.7, covered=0.5)
    """
    known = [(share, score) for s, share in sorted(shares.items()) if (score := per_subset.get(s)) is not None]
    whole, covered = sum(shares.values()), sum(share for share, _ in known)
    if not covered:
        return Deployed(None, 0.0)
    return Deployed(sum(share * score for share, score in known) / covered, covered / whole)


def worst(table: Table) -> tuple[str | None, float | None]:
    """Name and score of the lowest; the first by name where several are lowest. ``(None, None)`` without scores.

    >>> worst({"b": 0.5, "a": 0.5, "c": None})
    ('a', 0.5)
    """
    known = [(score, name) for name, score in table.items() if score is not None]
    return (None, None) if not known else (min(known)[1], min(known)[0])


def drops(per_subset: Table, full: str) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """What is lost with only S: D(S) = P(F) - P(S), and D(S) / P(F).

    Args:
        per_subset: P(S).
        full: name of F.

    Returns:
        Both by subset; negative where S alone does better. None where P(S) or P(F) is; the ratio also where
        P(F) is 0.

    >>> drops({"a": 0.5, "a+b": 0.8}, "a+b")[0]
    {'a': 0.30000000000000004, 'a+b': 0.0}
    """
    whole = per_subset.get(full)
    lost = {s: None if p is None or whole is None else whole - p for s, p in per_subset.items()}
    return lost, {s: d / whole if d is not None and whole else None for s, d in lost.items()}


def rate_curve(points: Iterable[tuple[float, float | None]]) -> float | None:
    """Area under the curve of what is kept over missing rates: the trapezoid mean of P_r(F) / P_0(F).

    1 where nothing is lost up to the highest rate. The mean over the range of rates, so curves compare that
    end at the same rate.

    Args:
        points: (missing rate r in [0, 1], score P_r(F) of the model that was trained under it), in any order,
            among them rate 0.

    Returns:
        None where the area is not defined: no rate 0, P_0(F) = 0, one rate only, or a score is None (a chord
        over a gap would be a guess).

    Raises:
        ValueError: a rate outside [0, 1], or one that is given twice.

    Source: the degradation curves of ITEACH-Net and LNLN, read as one number.

    >>> rate_curve([(0.0, 0.8), (0.5, 0.6), (1.0, 0.4)])
    0.75
    """
    ordered = sorted(points, key=lambda point: point[0])
    rates = [rate for rate, _ in ordered]
    if any(not 0 <= rate <= 1 for rate in rates) or len(set(rates)) != len(rates):
        raise ValueError(f"rate curve: rates {rates}; needed distinct rates within [0, 1]")
    known = [(rate, score) for rate, score in ordered if score is not None]
    if len(known) < 2 or len(known) < len(ordered) or rates[0] != 0 or known[0][1] == 0:
        return None
    start = known[0][1]
    steps = pairwise(known)
    area = sum((b - a) * (p + q) / 2 / start for (a, p), (b, q) in steps)
    return area / (rates[-1] - rates[0])
