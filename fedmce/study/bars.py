"""What the study's bars ask for, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fedmce.config.study import BEST, BarConfig
from fedmce.study.pairing import Mismatch
from fedmce.study.results import Results
from fedmce.study.statistics import Paired, paired


@dataclass(frozen=True)
class Verdict:
    """A bar in one setting, or over all of its settings (``setting`` empty).

    Attributes:
        bar: its name.
        setting: where.
        asked: in words.
        second: the method that the first was held against.
        measured: in words; empty over all settings.
        word: ``met``, ``missed``, or ``open`` where runs are missing.
        difference, low, high: mean difference with its paired 95 % interval; None where there is none.
        target: what the difference must reach, if the bar asks for one.
    """

    bar: str
    setting: str
    asked: str
    second: str
    measured: str
    word: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """None where runs are missing."""
        return None if self.word == "open" else self.word == "met"


def _word(met: bool | None) -> str:
    return "open" if met is None else "met" if met else "missed"


def verdicts(results: Results, unpaired: list[Mismatch]) -> list[Verdict]:
    """Every bar in each of its settings, then over them."""
    found = []
    out = {mismatch.place for mismatch in unpaired}
    for bar in results.study.bars:
        name = bar.name or f"{bar.pair[0]} against {bar.pair[1]}, {bar.settings}"
        settings = [setting for setting in results.study.settings if fnmatchcase(setting, bar.settings)]
        single = [_in_setting(results, bar, name, setting, out) for setting in settings]
        found += single
        needed = bar.needed or len(settings)
        met, missed = (sum(v.met is kind for v in single) for kind in (True, False))
        overall = True if met >= needed else False if len(single) - missed < needed else None
        found.append(
            Verdict(
                name, "", f"in {needed} of {len(settings)} settings", "", f"{met} met, {missed} missed", _word(overall)
            )
        )
    return found


def asked(bar: BarConfig) -> str:
    """The bar in words."""
    parts = []
    if bar.at_least is not None:
        parts.append(f"difference >= {bar.at_least:+g}")
    if bar.above is not None:
        parts.append(f"95 % interval above {bar.above:g}")
    if bar.not_below is not None:
        parts.append(f"95 % interval not below {bar.not_below:g}")
    if bar.ratio is not None:
        parts.append(f"{100 * bar.ratio:g} % of it")
    return ", ".join(parts)


def best_other(results: Results, setting: str, first: str, metric: str) -> str | None:
    """The competitor of ``first`` with the highest mean; bounds do not compete."""
    means = {}
    for name, method in results.study.methods.items():
        scores = results.by_seed(setting, name, metric)
        if name != first and not method.bound and scores:
            means[name] = sum(scores.values()) / len(scores)
    return max(means, key=lambda name: means[name]) if means else None


def _in_setting(results: Results, bar: BarConfig, name: str, setting: str, out: set[tuple[str, str, int]]) -> Verdict:
    metric = bar.metric or results.study.metric
    first, second = bar.pair[0], bar.pair[1]
    other = best_other(results, setting, first, metric) if second == BEST else second
    if other is None:
        return Verdict(name, setting, asked(bar), second, "no run", "open")

    def scores(method: str) -> Mapping[int, float]:
        found = results.by_seed(setting, method, metric)
        return {seed: value for seed, value in found.items() if (setting, method, seed) not in out}

    ours, theirs = scores(first), scores(other)
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return Verdict(name, setting, asked(bar), other, "no pair", "open")
    pair = paired([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    share = sum(ours[seed] for seed in seeds) / max(sum(theirs[seed] for seed in seeds), 1e-12)
    met = _reached(bar, pair, share) if len(seeds) == len(results.study.seeds) else None
    told = _measured(bar, pair, share, len(results.study.seeds))
    return Verdict(
        name, setting, asked(bar), other, told, _word(met), pair.difference, pair.low, pair.high, bar.at_least
    )


def _reached(bar: BarConfig, pair: Paired, share: float) -> bool | None:
    if (bar.above is not None or bar.not_below is not None) and (pair.low is None or pair.high is None):
        return None
    return (
        (bar.at_least is None or pair.difference >= bar.at_least)
        and (bar.above is None or pair.low is None or pair.low > bar.above)
        and (bar.not_below is None or pair.high is None or pair.high >= bar.not_below)
        and (bar.ratio is None or share >= bar.ratio)
    )


def _measured(bar: BarConfig, pair: Paired, share: float, seeds: int) -> str:
    text = f"{pair.difference:+.3f}"
    if pair.low is not None:
        text += f" [{pair.low:+.3f}, {pair.high:+.3f}]"
    if bar.ratio is not None:
        text += f", {100 * share:.1f} %"
    return text + (f" ({pair.pairs} of {seeds} seeds)" if pair.pairs < seeds else "")
