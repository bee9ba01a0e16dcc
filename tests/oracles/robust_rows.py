"""Robust rules by hand: one entry at a time, in Python floats and sorted lists (reliability: clip, median, trimmed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, sqrt
from statistics import median

Vector = Sequence[float]


def norm(change: Vector) -> float:
    """Euclidean length."""
    return sqrt(sum(x * x for x in change))


def clipped(old: Vector, new: Vector, limit: float) -> list[float]:
    """``new``, its change scaled to at most ``limit``."""
    length = norm([b - a for a, b in zip(old, new, strict=True)])
    factor = min(1.0, limit / length) if length > 0 else 1.0
    return [a + factor * (b - a) for a, b in zip(old, new, strict=True)]


def joined(
    rule: str, old: Vector, news: Mapping[str, Vector], weights: Mapping[str, float], limit: float, trim: float
) -> list[float]:
    """One component of one parameter."""
    holders = len(news)
    if rule in ("median", "trimmed", "clip_median", "clip_trimmed") and holders < 3:
        rule = "clip"
    states = {s: clipped(old, v, limit) if rule.startswith("clip") else list(v) for s, v in news.items()}
    entries = [[states[s][i] for s in states] for i in range(len(old))]
    if rule in ("mean", "clip"):
        total = sum(weights[s] for s in states)
        return [sum(weights[s] * states[s][i] for s in states) / total for i in range(len(old))]
    if rule.endswith("median"):
        return [median(entry) for entry in entries]
    drop = max(1, floor(trim * holders + 1e-9))
    return [sum(sorted(entry)[drop : holders - drop]) / (holders - 2 * drop) for entry in entries]


def tau(rounds: Sequence[Sequence[float]], clip: float, first: float) -> float:
    """Limit of a component after these rounds of norms: lower median of those above 0 in the last five rounds."""
    seen = [[n for n in one if n > 0] for one in rounds]
    seen = [one for one in seen if one]
    if len(seen) < 3:
        return first
    flat = sorted(n for one in seen[-5:] for n in one)
    below = [n for n in flat if sum(m <= n for m in flat) >= len(flat) / 2]
    return clip * below[0]


def water_filled(weights: Mapping[str, float], limits: Mapping[str, float]) -> dict[str, float]:
    """The shares min(limit, level x weight) that sum to 1: the level found by halving, not by passes."""
    low, high = 0.0, 1.0
    while sum(min(limits[s], high * w) for s, w in weights.items()) < 1 - 1e-12 and high < 1e300:
        high *= 2
    for _ in range(4000):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if sum(min(limits[s], middle * w) for s, w in weights.items()) < 1:
            low = middle
        else:
            high = middle
    return {s: min(limits[s], high * w) for s, w in weights.items()}


def others_median(values: Mapping[str, float], site: str) -> float:
    """Median without the site's own value."""
    return median(v for s, v in values.items() if s != site)
