"""``summary.md``: the study's tables in Markdown, and what a terminal shows of them."""

from __future__ import annotations

from collections.abc import Sequence

from fedmce.study.bars import Verdict
from fedmce.study.compare import Comparison
from fedmce.study.curves import curves
from fedmce.study.grids import Grid, area_grid, bar_grid, choice_grid, comparison_grid, score_grid
from fedmce.study.pairing import Mismatch
from fedmce.study.results import Results

READING = (
    "Scores are means over seeds ± half of their 95 % t interval. Differences are paired by seed; * their 95 % t interval "
    "excludes zero. p values are two-sided; Holm adjusts for all pairs of a setting. With few pairs Wilcoxon cannot be "
    "small: its least p value is 2 / 2^pairs."
)


def summary(
    results: Results, found: Sequence[Comparison], bars: Sequence[Verdict], unpaired: Sequence[Mismatch]
) -> str:
    """The whole page."""
    study = results.study
    parts = [f"# {study.title or study.name}", head(results), READING]
    if bars:
        parts += ["## Bars", markdown(bar_grid(bars))]
    for metric in study.metrics():
        parts += [f"## {metric}", markdown(score_grid(results, metric)), markdown(comparison_grid(found, metric))]
    if curves(results):
        parts += ["## Area under the curves", markdown(area_grid(results))]
        parts += [markdown(comparison_grid(found, f"area of {study.metric}"))]
    if study.tuning:
        parts += ["## Chosen values", markdown(choice_grid(results))]
    parts += ["## What is missing", _listed(missing(results, unpaired)) or nothing_missing()]
    parts += ["## Made with", _listed(provenance(results)) or "No run is there yet."]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief(results: Results, bars: Sequence[Verdict], unpaired: Sequence[Mismatch]) -> str:
    """What a terminal shows: the scores that are compared, the bars over all settings, what is missing."""
    overall = [verdict for verdict in bars if not verdict.setting]
    parts = [head(results), f"{results.study.metric}:", markdown(score_grid(results, results.study.metric))]
    parts += [markdown(bar_grid(overall))] if overall else []
    return "\n\n".join([*parts, _listed(missing(results, unpaired)) or nothing_missing()])


def head(results: Results) -> str:
    """What was run, in a paragraph."""
    study = results.study
    there, wanted = len(results.records), len(study.settings) * len(study.methods) * len(study.seeds)
    hours = f"{results.seconds / 3600:.1f} hours" if results.seconds > 5400 else f"{results.seconds / 60:.1f} minutes"
    tuned = f", {results.runs} runs with those that chose values," if study.tuning else ""
    text = (
        f"{len(study.methods)} methods x {len(study.settings)} settings x {len(study.seeds)} seeds: {there} of {wanted} "
        f"compared runs are here{tuned} in {hours} of one process. Runs of one setting and seed share rows, splits, masks "
        "and, where the networks agree, initial weights; their hashes are compared."
    )
    flagged = [name for name, method in study.methods.items() if method.unpaired_masks]
    return text + (f" By definition with other masks: {', '.join(flagged)}." if flagged else "")


def missing(results: Results, unpaired: Sequence[Mismatch]) -> list[str]:
    """Failed, unpaired and open runs, one line per reason."""
    by_reason: dict[str, list[str]] = {}
    for item in results.lost:
        by_reason.setdefault(item.reason, []).append(item.label)
    lines = [f"{_few(labels)}: {reason}" for reason, labels in by_reason.items()]
    lines += [f"not a pair, left out of the comparisons: {mismatch}" for mismatch in unpaired]
    return [*lines, f"{results.open} runs are still to do"] if results.open else lines


def nothing_missing() -> str:
    """When all is there."""
    return "Nothing is missing: every run finished, and all runs of a seed are pairs."


def provenance(results: Results) -> list[str]:
    """Versions and hashes, one line each."""
    lines = sorted({", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in results.records.values()})
    lines += [f"code {code[:16]}" for code in results.codes]
    if len(results.codes) > 1:
        lines.append("the records were made by more than one state of the code")
    hashes: dict[tuple[str, int], str] = {}
    for (setting, method, seed), record in results.records.items():
        if not results.study.methods[method].unpaired_masks:
            hashes.setdefault((setting, seed), str(record["hashes"]["masks"])[:12])
    for setting in results.study.settings:
        found = [f"{seed} {hashes[setting, seed]}" for seed in results.study.seeds if (setting, seed) in hashes]
        lines += [f"masks of {setting} by seed: {', '.join(found)}"] if found else []
    return lines


def markdown(grid: Grid) -> str:
    """A Markdown table; empty without rows."""
    if not grid.rows:
        return ""
    lines = [grid.head, ["---"] * len(grid.head), *grid.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
