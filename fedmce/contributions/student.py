"""Quantiles of Student's t distribution: how wide an interval from few replicates must be."""

from __future__ import annotations

import math
from statistics import NormalDist


def student_quantile(confidence: float, degrees: float) -> float:
    """t with P(-t <= T <= t) = ``confidence`` at ``degrees`` of freedom (rounded down, at least 1).

    Source: Hill 1970, Communications of the ACM 13, algorithm 396; relative error below 1e-3.

    Raises:
        ValueError: the confidence is not within (0, 1).

    >>> round(student_quantile(0.95, 10), 3)
    2.228
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: given {confidence}; needed above 0 and below 1")
    tail = 1 - confidence
    if not math.isfinite(degrees):
        return NormalDist().inv_cdf(1 - tail / 2)
    n = max(1, math.floor(degrees))
    if n == 1:
        return 1 / math.tan(tail * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    return _hill(tail, n)


def _hill(tail: float, n: int) -> float:
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    x = d * tail
    y = x ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (
            n + 2
        ) + 1 / y
    return math.sqrt(n * y)
