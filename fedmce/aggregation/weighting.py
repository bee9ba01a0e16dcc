"""How much each holder of a component counts: rules from rows and quality to weights that sum to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fedmce.registry import registrar

Weights = dict[str, float]
Rule = Callable[[Mapping[str, float], Mapping[str, float]], Weights]
WEIGHTINGS: dict[str, Rule] = {}
# rows and quality of each holder -> weights that sum to 1
weighting = registrar(WEIGHTINGS, "weighting")


def saturated(rows: int, saturation_rows: float | None) -> float:
    """What ``rows`` of one site count for: n / (1 + n / n0), or n if ``saturation_rows`` (n0) is None.

    A site's parameters differ from the common ones by its own character (variance t^2) and by the chance
    of its n rows (variance s^2 / n). The best weights of a mean of such estimates are 1 / (t^2 + s^2 / n),
    proportional to n / (1 + n / n0) with n0 = s^2 / t^2: the random-effects weights of meta-analysis
    (DerSimonian and Laird 1986). Between speakers or hospitals t^2 is never 0; weights by rows alone let
    one large holder of a rare modality drown the others.
    """
    return float(rows) if saturation_rows is None else rows / (1.0 + rows / saturation_rows)


def _normalise(raw: Mapping[str, float]) -> Weights:
    total = sum(raw[site] for site in sorted(raw))
    return {site: raw[site] / total for site in sorted(raw)}


@weighting("samples")
def by_samples(rows: Mapping[str, float], quality: Mapping[str, float]) -> Weights:
    """Rows that trained the component (McMahan et al. 2017, per component)."""
    return _normalise({site: float(count) for site, count in rows.items()})


@weighting("uniform")
def uniform(rows: Mapping[str, float], quality: Mapping[str, float]) -> Weights:
    """Every holder counts the same."""
    return _normalise(dict.fromkeys(rows, 1.0))


@weighting("contribution")
def by_contribution(rows: Mapping[str, float], quality: Mapping[str, float]) -> Weights:
    """Rows times pattern-standardised contribution (method.md 4); quality is positive, 1 where unknown."""
    return _normalise({site: count * quality.get(site, 1.0) for site, count in rows.items()})


@weighting("inverse_entropy")
def by_inverse_entropy(rows: Mapping[str, float], quality: Mapping[str, float]) -> Weights:
    """One over the mean entropy of the site's predictions of its own rows (FLISM, arXiv 2405.11828), rows left out.

    ``quality`` holds the entropies, each above 0: the site that reports them puts a floor under them, since a
    model that is sure of everything would silence all others.
    """
    return _normalise({site: 1.0 / quality[site] for site in rows})
