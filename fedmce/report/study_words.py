"""What a study found, in sentences; also the text in place of its pictures."""

from __future__ import annotations

from fedmce.report.study_looks import means, ordered
from fedmce.report.study_trace import traced
from fedmce.report.words import counted, number
from fedmce.study.output import Findings
from fedmce.study.results import Results
from fedmce.study.standing import ranked


def finding(results: Results, found: Findings) -> str:
    """How the reference stands against the others."""
    study = results.study
    own = [
        c
        for c in found.comparisons
        if c.first == study.reference and c.metric == study.metric and c.setting in results.facts
    ]
    if not own:
        return "No two runs can be compared yet."
    above = sum(c.is_clear and c.difference > 0 for c in own)
    below = sum(c.is_clear and c.difference < 0 for c in own)
    return (
        f"Of {counted(len(own), 'paired comparison')} of {study.reference} by {study.metric.replace('_', ' ')}, it is clearly "
        f"above in {above} and clearly below in {below} (95 % interval of the difference excludes zero); in the other "
        f"{len(own) - above - below} nothing can be told."
    )


def rank_sentence(results: Results) -> str:
    """Friedman's test and what its diagram rests on."""
    found = ranked(results)
    if found is None or len(found.mean) < 3:
        return ""
    p = "" if found.friedman_p is None else f" Friedman's test that all are alike: p {_p(found.friedman_p)}."
    blocks = counted(found.blocks, "setting")
    return (
        f"Mean ranks of {len(found.mean)} competitors over {blocks}, 1 is best.{p} Bars join methods whose mean ranks "
        f"differ by less than Nemenyi's critical difference of {found.critical:.2f}. Settings of one data set are "
        "alike, so this counts more evidence than there is."
    )


def trace_sentence(results: Results) -> str:
    """Which run is shown round by round."""
    found = traced(results)
    if found is None:
        return ""
    setting, method, seed = found[0]
    return f"{method} in {setting}, seed {seed}: what each site contributes, and how much its encoders weigh."


def alternative(results: Results, name: str) -> str:
    """Text in place of a picture: what it shows."""
    kind, _, setting = name.partition("-")
    metric = results.study.metric.replace("_", " ")
    table = means(results)
    best = max(table, key=lambda place: table[place]) if table else None
    texts = {
        "bars": "Differences that were asked for, with their intervals; the table above has the figures.",
        "scores": f"Heat map of {metric}: methods by settings."
        + (f" Highest: {best[0]} in {best[1]}, {number(table[best])}." if best else ""),
        "differences": f"Heat map of {results.study.reference} minus each method by {metric}; the table has the figures.",
        "ranks": "Rank diagram: " + ", ".join(_ranks(results)),
        "curves": f"Lines of {metric} over {results.study.x_label}, best first: {', '.join(ordered(results)[:6])}.",
        "lattice": f"Lattice of subsets in {setting}: score of {results.study.reference} and difference from the best other.",
        "availability": f"Training rows of {setting} by the modalities that they hold.",
        "over_rounds": trace_sentence(results),
    }
    return texts.get(kind, kind)


def _ranks(results: Results) -> list[str]:
    found = ranked(results)
    return [f"{name} {rank:.2f}" for name, rank in found.mean.items()] if found else []


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
