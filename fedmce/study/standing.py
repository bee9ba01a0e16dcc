"""Mean ranks of the competitors over settings."""

from __future__ import annotations

import statistics

from fedmce.study.results import Results
from fedmce.study.statistics import Ranks, ranks


def ranked(results: Results) -> Ranks | None:
    """Rank the competitors by their mean score over seeds in every setting that all of them have.

    Methods without a run in most settings would shrink the blocks for all, so a method that lacks a setting
    is left out if it would cost one that two others share; bounds never take part.

    Returns:
        None with fewer than two methods or no common setting.
    """
    study = results.study
    table: dict[str, dict[str, float]] = {}
    for name, method in study.methods.items():
        if method.bound:
            continue
        found = {s: list(results.by_seed(s, name, study.metric).values()) for s in study.settings}
        table[name] = {setting: statistics.fmean(values) for setting, values in found.items() if values}
    most = max((len(scores) for scores in table.values()), default=0)
    complete = {name: scores for name, scores in table.items() if most and len(scores) == most}
    blocks = [s for s in study.settings if all(s in scores for scores in complete.values())]
    if len(complete) < 2 or not blocks:
        return None
    return ranks({name: [scores[s] for s in blocks] for name, scores in complete.items()})
