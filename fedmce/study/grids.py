"""The tables that summary and page share, as text cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedmce.study.bars import Verdict
from fedmce.study.cell import shown
from fedmce.study.compare import CURVE, Comparison
from fedmce.study.curves import areas, curves
from fedmce.study.results import Results
from fedmce.study.statistics import interval

DASH = "–"


@dataclass(frozen=True)
class Grid:
    """A heading per column and equally long rows."""

    head: list[str]
    rows: list[list[str]]


def score_grid(results: Results, metric: str) -> Grid:
    """Methods x settings: mean ± half of the 95 % t interval over seeds."""
    study = results.study
    settings = [s for s in study.settings if metric != "rare" or study.settings[s].rare]
    rows = [
        [
            _named(results, name),
            *(_spread(list(results.by_seed(s, name, metric).values()), len(study.seeds)) for s in settings),
        ]
        for name in study.methods
    ]
    return Grid(["method", *settings], rows)


def area_grid(results: Results) -> Grid:
    """Methods x curves: mean score over the range of x."""
    found = curves(results)
    by_curve = [areas(results, curve) for curve in found]
    seeds = len(results.study.seeds)
    rows = [
        [_named(results, name), *(_spread(list(own[name].values()), seeds) for own in by_curve)]
        for name in results.study.methods
    ]
    return Grid(["method", *(f"{c.name} (x from {c.x[0]:g} to {c.x[-1]:g})" for c in found)], rows)


def comparison_grid(found: Iterable[Comparison], metric: str) -> Grid:
    """Paired differences; a star where the t interval excludes zero."""
    rows = []
    for c in found:
        if c.metric != metric:
            continue
        boot = DASH if c.boot_low is None else f"[{c.boot_low:+.3f}, {c.boot_high:+.3f}]"
        p = [_p(value) for value in (c.t_p, c.t_p_holm, c.wilcoxon_p, c.wilcoxon_p_holm)]
        setting = c.setting.removeprefix(CURVE)
        rows.append([setting, f"{c.first} − {c.second}", _span(c), boot, *p, f"{c.wins}/{c.pairs}"])
    head = [
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
    return Grid(head, rows)


def bar_grid(found: Iterable[Verdict]) -> Grid:
    """One line per bar and setting, then one over its settings."""
    rows = [[v.bar, v.setting or "all", v.second or DASH, v.asked, v.measured, v.word] for v in found]
    return Grid(["bar", "setting", "against", "asked", "measured", "verdict"], rows)


def choice_grid(results: Results) -> Grid:
    """Chosen values per method and setting."""
    rows = []
    for name in results.study.methods:
        chosen = [results.choices[name, setting].values for setting in results.study.settings]
        rows.append([name, *(DASH if values is None else shown(values) for values in chosen)])
    return Grid(["method", *results.study.settings], rows)


def _named(results: Results, name: str) -> str:
    method = results.study.methods[name]
    notes = [note for note, is_so in (("bound", method.bound), ("other masks", method.unpaired_masks)) if is_so]
    return name + (f" ({', '.join(notes)})" if notes else "")


def _spread(values: Sequence[float], seeds: int) -> str:
    if not values:
        return DASH
    mean, low, _ = interval(values)
    text = f"{mean:.3f}" + (f" ± {mean - low:.3f}" if len(values) > 1 else "")
    return text + (f" ({len(values)} of {seeds} seeds)" if len(values) < seeds else "")


def _span(c: Comparison) -> str:
    text = f"{c.difference:+.3f}" + (f" [{c.low:+.3f}, {c.high:+.3f}]" if c.low is not None else "")
    return text + (" *" if c.is_clear else "")


def _p(value: float | None) -> str:
    return DASH if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
