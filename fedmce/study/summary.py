"""``summary.md``: the study's tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedmce.study.bars import Verdict
from fedmce.study.cell import shown
from fedmce.study.compare import CURVE, Comparison
from fedmce.study.curves import areas, curves
from fedmce.study.pairing import Mismatch
from fedmce.study.results import Results
from fedmce.study.statistics import interval

DASH = "–"


def summary(
    results: Results, found: Sequence[Comparison], bars: Sequence[Verdict], unpaired: Sequence[Mismatch]
) -> str:
    """The whole page."""
    study = results.study
    parts = [f"# {study.title or study.name}", head(results)]
    for metric in study.metrics():
        parts += [f"## {metric}", scores_table(results, metric), comparison_table(found, metric)]
    if curves(results):
        parts += ["## Area under the curves", area_table(results), comparison_table(found, f"area of {study.metric}")]
    if bars:
        parts += ["## Bars", bar_table(bars)]
    if study.tuning:
        parts += ["## Chosen values", choice_table(results)]
    parts += ["## What is missing", missing(results, unpaired), "## Made with", provenance(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief(results: Results, bars: Sequence[Verdict], unpaired: Sequence[Mismatch]) -> str:
    """What a terminal shows: the scores that are compared, the bars over all settings, what is missing."""
    overall = [verdict for verdict in bars if not verdict.setting]
    parts = [head(results), f"{results.study.metric}:", scores_table(results, results.study.metric)]
    parts += [bar_table(overall)] if overall else []
    return "\n\n".join([*parts, missing(results, unpaired)])


def head(results: Results) -> str:
    """What was run, in a paragraph."""
    study = results.study
    there = len(results.records)
    wanted = len(study.settings) * len(study.methods) * len(study.seeds)
    text = (
        f"{len(study.methods)} methods x {len(study.settings)} settings x {len(study.seeds)} seeds: {there} of {wanted} "
        f"compared runs are here, {results.runs} runs with those of the choice, {results.seconds / 3600:.2f} hours of one "
        "process. Runs of one setting and seed share rows, splits, masks and, where the networks agree, initial weights "
        "(held by hashes)."
    )
    flagged = [name for name, method in study.methods.items() if method.unpaired_masks]
    if flagged:
        text += f" By definition with other masks: {', '.join(flagged)}."
    return text


def scores_table(results: Results, metric: str) -> str:
    """Methods x settings: mean ± half of the 95 % t interval."""
    rows = []
    for name, method in results.study.methods.items():
        cells = []
        for setting in results.study.settings:
            values = list(results.by_seed(setting, name, metric).values())
            cells.append(_spread(values, len(results.study.seeds)))
        rows.append([f"{name}{' (bound)' if method.bound else ''}", *cells])
    return table(["method", *results.study.settings], rows)


def _spread(values: Sequence[float], seeds: int) -> str:
    if not values:
        return DASH
    mean, low, _ = interval(values)
    text = f"{mean:.3f}" + (f" ± {mean - low:.3f}" if len(values) > 1 else "")
    return text + (f" ({len(values)} seeds)" if len(values) < seeds else "")


def area_table(results: Results) -> str:
    """Methods x curves: mean score over the range of x."""
    all_curves = curves(results)
    rows = []
    for name in results.study.methods:
        spans = [_spread(list(areas(results, curve)[name].values()), len(results.study.seeds)) for curve in all_curves]
        rows.append([name, *spans])
    heads = [f"{curve.name} (x from {curve.x[0]:g} to {curve.x[-1]:g})" for curve in all_curves]
    return table(["method", *heads], rows)


def comparison_table(found: Iterable[Comparison], metric: str) -> str:
    """Paired differences; bold where the t interval excludes zero."""
    rows = []
    for c in found:
        if c.metric != metric:
            continue
        span = _interval(c.difference, c.low, c.high)
        setting = c.setting.removeprefix(CURVE)
        boot = DASH if c.boot_low is None else f"[{c.boot_low:+.3f}, {c.boot_high:+.3f}]"
        wins = f"{c.wins}/{c.pairs}"
        bold = f"**{span}**" if c.is_clear else span
        p = [_p(value) for value in (c.t_p, c.t_p_holm, c.wilcoxon_p, c.wilcoxon_p_holm)]
        rows.append([setting, f"{c.first} − {c.second}", bold, boot, *p, wins])
    heads = [
        "setting",
        "pair",
        "difference [95 % t]",
        "95 % bootstrap",
        "t",
        "t, Holm",
        "Wilcoxon",
        "Wilcoxon, Holm",
        "wins",
    ]
    return table(heads, rows)


def _interval(mean: float, low: float | None, high: float | None) -> str:
    return f"{mean:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if low is not None else "")


def _p(value: float | None) -> str:
    return DASH if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def bar_table(bars: Iterable[Verdict]) -> str:
    """One line per bar and setting, then one over its settings."""
    rows = []
    for v in bars:
        word = f"**{v.word}**" if v.word == "missed" else v.word
        rows.append([v.bar, v.setting or "all", v.second or DASH, v.asked, v.measured, word])
    return table(["bar", "setting", "against", "asked", "measured", "verdict"], rows)


def choice_table(results: Results) -> str:
    """Chosen values per method and setting."""
    rows = []
    for name in results.study.methods:
        chosen = [results.choices[name, setting].values for setting in results.study.settings]
        rows.append([name, *(DASH if values is None else shown(values) for values in chosen)])
    return table(["method", *results.study.settings], rows)


def missing(results: Results, unpaired: Sequence[Mismatch]) -> str:
    """Failed, open and unpaired runs."""
    by_reason: dict[str, list[str]] = {}
    for item in results.lost:
        by_reason.setdefault(item.reason, []).append(item.label)
    lines = [f"* {_listed(labels)}: {reason}" for reason, labels in by_reason.items()]
    lines += [f"* not a pair: {mismatch}" for mismatch in unpaired]
    if results.open:
        lines.append(f"* {results.open} runs are still to do")
    return "\n".join(lines) or "Nothing: every run finished, and all runs of a seed are pairs."


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def provenance(results: Results) -> str:
    """Versions and hashes."""
    versions = sorted({", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in results.records.values()})
    lines = [f"* {text}" for text in versions]
    lines += [f"* code {code[:16]}" for code in results.codes]
    if len(results.codes) > 1:
        lines.append("* the records were made by more than one state of the code")
    hashes: dict[tuple[str, int], str] = {}
    for (setting, method, seed), record in results.records.items():
        if not results.study.methods[method].unpaired_masks:
            hashes.setdefault((setting, seed), str(record["hashes"]["masks"])[:12])
    for setting in results.study.settings:
        found = [f"{seed} {hashes[setting, seed]}" for seed in results.study.seeds if (setting, seed) in hashes]
        if found:
            lines.append(f"* masks of {setting} by seed: {', '.join(found)}")
    return "\n".join(lines) or "No run is there yet."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
