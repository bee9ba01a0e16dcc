"""Scores along a number, such as the missing rate, and the area under them."""

from __future__ import annotations

from dataclasses import dataclass

from fedmce.study.results import Results


@dataclass(frozen=True)
class Curve:
    """Settings in the order of their ``x``."""

    name: str
    dataset: str
    x: tuple[float, ...]
    settings: tuple[str, ...]


def curves(results: Results) -> list[Curve]:
    """All groups of at least two settings with different ``x``; of equal ``x`` the first counts."""
    groups: dict[str, dict[float, str]] = {}
    for setting, facts in results.facts.items():
        if facts.x is not None:
            groups.setdefault(facts.curve, {}).setdefault(facts.x, setting)
    found = []
    for name, by_x in groups.items():
        if len(by_x) > 1:
            x = tuple(sorted(by_x))
            found.append(Curve(name, results.facts[by_x[x[0]]].dataset, x, tuple(by_x[place] for place in x)))
    return found


def areas(results: Results, curve: Curve, metric: str | None = None) -> dict[str, dict[int, float]]:
    """Per method and seed the area under the score over x, divided by the range of x.

    It is the mean score over the range (trapezoids between the settings); 1 minus it is the area of the drop
    from a perfect score. Seeds that lack a setting are left out.
    """
    metric = metric or results.study.metric
    found: dict[str, dict[int, float]] = {}
    for method in results.study.methods:
        found[method] = {}
        for seed in results.study.seeds:
            y = [results.value(setting, method, seed, metric) for setting in curve.settings]
            if all(value is not None for value in y):
                found[method][seed] = area(curve.x, [value for value in y if value is not None])
    return found


def area(x: tuple[float, ...], y: list[float]) -> float:
    """Mean height of the polygon through the points.

    >>> area((0.0, 1.0, 2.0), [1.0, 0.5, 0.5])
    0.625
    """
    from scipy.integrate import trapezoid

    return float(trapezoid(y, x)) / (x[-1] - x[0])
