"""How much each holder of a component counts: rules from rows and quality to weights that sum to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedmce.registry import registrar

Weights = dict[str, float]
Rule = Callable[[Mapping[str, int], Mapping[str, float]], Weights]
WEIGHTINGS: dict[str, Rule] = {}
# rows and quality of each holder -> weights that sum to 1
weighting = registrar(WEIGHTINGS, "weighting")


def _normalise(raw: Mapping[str, float]) -> Weights:
    total = sum(raw[site] for site in sorted(raw))
    return {site: raw[site] / total for site in sorted(raw)}


@weighting("samples")
def by_samples(rows: Mapping[str, int], quality: Mapping[str, float]) -> Weights:
    """Rows that trained the component (McMahan et al. 2017, per component)."""
    return _normalise({site: float(count) for site, count in rows.items()})


@weighting("uniform")
def uniform(rows: Mapping[str, int], quality: Mapping[str, float]) -> Weights:
    """Every holder counts the same."""
    return _normalise(dict.fromkeys(rows, 1.0))


@weighting("contribution")
def by_contribution(rows: Mapping[str, int], quality: Mapping[str, float]) -> Weights:
    """Rows times pattern-standardised contribution (method.md 4); quality is positive, 1 where unknown."""
    return _normalise({site: count * quality.get(site, 1.0) for site, count in rows.items()})
