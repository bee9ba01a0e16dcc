"""Paired comparisons of methods: by setting, and over curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fedmce.study.curves import areas, curves
from fedmce.study.pairing import Mismatch
from fedmce.study.results import Results
from fedmce.study.statistics import holm, paired

CURVE = "curve:"


@dataclass(frozen=True)
class Comparison:
    """First minus second in one setting, paired by seed; fields as in :class:`fedmce.study.statistics.Paired`.

    ``t_p_holm`` and ``wilcoxon_p_holm`` are adjusted for all pairs that are compared in the setting by this metric.
    """

    setting: str
    dataset: str
    protocol: str
    metric: str
    first: str
    second: str
    pairs: int
    first_mean: float
    second_mean: float
    difference: float
    low: float | None
    high: float | None
    boot_low: float | None
    boot_high: float | None
    t_p: float | None
    t_p_holm: float | None
    wilcoxon_p: float | None
    wilcoxon_p_holm: float | None
    wins: int

    @property
    def is_clear(self) -> bool:
        """The 95 % interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def comparisons(results: Results, unpaired: list[Mismatch]) -> list[Comparison]:
    """All pairs of the study in all settings and on all curves; pairs without a common seed are left out.

    Args:
        results: what the study has found.
        unpaired: runs that are no pairs; their seeds are left out.
    """
    out = {mismatch.place for mismatch in unpaired}
    found: list[Comparison] = []
    for metric in results.study.metrics():
        for setting, facts in results.facts.items():
            table = {
                name: {s: v for s, v in results.by_seed(setting, name, metric).items() if (setting, name, s) not in out}
                for name in results.study.methods
            }
            found += _adjusted(list(_compared(results, table, setting, facts.dataset, facts.protocol, metric)))
    for curve in curves(results):
        by_method = areas(results, curve)
        found += _adjusted(
            list(
                _compared(results, by_method, CURVE + curve.name, curve.dataset, "", f"area of {results.study.metric}")
            )
        )
    return found


def _compared(
    results: Results, table: Mapping[str, Mapping[int, float]], setting: str, dataset: str, protocol: str, metric: str
) -> Iterator[Comparison]:
    for first, second in results.study.pairs():
        seeds = [seed for seed in results.study.seeds if seed in table[first] and seed in table[second]]
        if not seeds:
            continue
        ours, theirs = [table[first][seed] for seed in seeds], [table[second][seed] for seed in seeds]
        p = paired(ours, theirs)
        means = sum(ours) / len(ours), sum(theirs) / len(theirs)
        yield Comparison(
            setting, dataset, protocol, metric, first, second, p.pairs, *means, p.difference, p.low, p.high,
            p.boot_low, p.boot_high, p.t_p, None, p.wilcoxon_p, None, p.wins,
        )  # fmt: skip


def _adjusted(family: list[Comparison]) -> list[Comparison]:
    known = [c for c in family if c.t_p is not None and c.wilcoxon_p is not None]
    t = holm([c.t_p for c in known if c.t_p is not None])
    wilcoxon = holm([c.wilcoxon_p for c in known if c.wilcoxon_p is not None])
    adjusted = {id(c): (a, b) for c, a, b in zip(known, t, wilcoxon, strict=True)}
    return [
        replace(c, t_p_holm=adjusted[id(c)][0], wilcoxon_p_holm=adjusted[id(c)][1]) if id(c) in adjusted else c
        for c in family
    ]
