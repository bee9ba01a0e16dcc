"""docs/ablation.md from the records of the ablation's runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.arms import ARMS, BY_NAME, QUESTIONS, SETTINGS, Arm, Question
from benchmarks.cells import BY_SETTING, Cell, CellResult, Scores
from benchmarks.plan import SEEDS, final_cells
from benchmarks.study import TUNING_SEEDS, Interval, mean, paired

# None: the run failed.
Results = Mapping[Cell, CellResult | None]
READING = "ablation_reading.md"


@dataclass(frozen=True)
class Difference:
    """An arm minus another, paired by seed; None where too few seeds have both."""

    to: str
    validation: Interval | None
    mean_subset: Interval | None
    rare: Interval | None


@dataclass(frozen=True)
class Line:
    """One arm on one data set."""

    arm: Arm
    setting: str
    lr: float
    seeds: int
    mean_subset: float | None
    rare: float | None
    differences: tuple[Difference, ...]


def lines(results: Results) -> dict[tuple[str, str], Line]:
    """Every arm on every data set of which runs are there, by (data set, arm).

    Raises:
        ValueError: runs of one seed do not share rows and masks.
    """
    _check_pairs(results)
    settled = {cell: result.plain.validation if result else None for cell, result in results.items()}
    runs = {(s.name, a.name): _by_seed(a, s.name, results, settled) for s in SETTINGS for a in ARMS}
    found = {}
    for (setting, name), by_seed in runs.items():
        if not by_seed:
            continue
        rare = BY_SETTING[setting].rare
        found[setting, name] = Line(
            arm=BY_NAME[name],
            setting=setting,
            lr=final_cells(BY_NAME[name], setting, settled)[0].lr,
            seeds=len(by_seed),
            mean_subset=mean(scores.mean_subset for scores in by_seed.values()),
            rare=mean(scores.per_subset.get(rare) for scores in by_seed.values()),
            differences=tuple(_difference(to, by_seed, runs[setting, to], rare) for to in BY_NAME[name].against),
        )
    return found


def _check_pairs(results: Results) -> None:
    masks: dict[tuple[str, int], tuple[Cell, str]] = {}
    for cell, result in results.items():
        if result is None:
            continue
        other, seen = masks.setdefault((cell.setting, cell.seed), (cell, result.masks_sha256))
        if seen != result.masks_sha256:
            raise ValueError(
                f"ablation: {cell.key} and {other.key} have other masks; needed the same rows and masks for all arms of a "
                "seed. remove the run folders of the older code and run them again"
            )


def _by_seed(arm: Arm, setting: str, results: Results, settled: Mapping[Cell, float | None]) -> dict[int, Scores]:
    found = {}
    for cell in final_cells(arm, setting, settled):
        result = results.get(cell)
        scores = result.scores(completed=arm.completed) if result else None
        if scores is not None:
            found[cell.seed] = scores
    return found


def _difference(to: str, ours: Mapping[int, Scores], theirs: Mapping[int, Scores], rare: str) -> Difference:
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(set(ours) & set(theirs))]

    def interval(values: Iterable[tuple[float | None, float | None]]) -> Interval | None:
        known = [(a, b) for a, b in values if a is not None and b is not None]
        return paired([a for a, _ in known], [b for _, b in known]) if len(known) > 1 else None

    return Difference(
        to,
        interval((a.validation, b.validation) for a, b in pairs),
        interval((a.mean_subset, b.mean_subset) for a, b in pairs),
        interval((a.per_subset.get(rare), b.per_subset.get(rare)) for a, b in pairs),
    )


def document(results: Results, reading: str = "") -> str:
    """The whole page.

    Args:
        results: finished and failed cells.
        reading: what the tables say, written by hand; goes in front of them.
    """
    found = lines(results)
    parts = [_head(results), *([reading.strip()] if reading.strip() else []), _overview(found)]
    parts += [_section(question, found) for question in QUESTIONS]
    parts += [_misses(results, found)]
    return "\n\n".join(parts) + "\n"


def _head(results: Results) -> str:
    done = [result for result in results.values() if result]
    versions = sorted({_versions(result) for result in done})
    rounds = ", ".join(str(n) for n in sorted({result.rounds for result in done}))
    hours = sum(result.seconds for result in done) / 3600
    return f"""# Ablation: what each choice of MCE is worth

Made by `python -m benchmarks.ablation --write docs/ablation.md` from {len(done)} run records ({hours:.1f} hours of one
core); edit `{READING}`, not this file. `python -m benchmarks.ablation --data-dir data` makes the runs, and goes on where
it stopped. Versions: {"; ".join(versions) or "none"}.

**Protocol.** {rounds} rounds of 2 local epochs, batch 32, tokens of 32, the data sets and missingness of
[benchmarks/arms.py](../benchmarks/arms.py): {_settings()}. Every arm is compared on seeds {SEEDS[0]} to {SEEDS[-1]}; rows,
splits and masks of a seed are the same for all arms (checked by the hash of the masks). Its step size is the one with the
best **validation** score (rows of the sites, mean over subsets, seeds {TUNING_SEEDS[0]} and {TUNING_SEEDS[1]}) among
{_steps("reference")} for Adam and {_steps("sgd")} for SGD, and one more beyond an edge that is best. Arms that only score
another way take the step size of the arm that they train as.

**Reading a line.** Scores are accuracies of the final model on test rows: the mean over all subsets of the modalities, and
the rarest modality alone. Differences are the arm minus the one named, on validation and on test rows, with paired 95 % t
intervals over seeds; those that exclude zero are bold. {_comparisons()} comparisons stand here, so that one in twenty
excludes zero by chance alone. Defaults go by validation.

**Fraction of the grid.** From {{published, repaired}} x {{A on, off}} x {{B off, gap, Shapley}} x {{loss, step, rows}} x
{{completion off, beside, trained through; with and without use}} x {{subset on, off}} one factor at a time is changed from
the reference (`method=fedmce` with the defaults of its time), with pairs where one factor alone cannot answer. Each table says what it crosses."""


def _versions(result: CellResult) -> str:
    return ", ".join(f"{name} {result.versions[name]}" for name in ("fedmce", "torch", "numpy", "python"))


def _settings() -> str:
    return ", ".join(f"`{setting.name}` (rarest: {setting.rare})" for setting in SETTINGS)


def _steps(arm: str) -> str:
    return ", ".join(f"{step:g}" for step in BY_NAME[arm].grid.steps)


def _comparisons() -> int:
    return sum(len(arm.against) for arm in ARMS) * len(SETTINGS)


def _overview(found: Mapping[tuple[str, str], Line]) -> str:
    names = [setting.name for setting in SETTINGS]
    rows = []
    for arm in ARMS:
        if arm.against and any((name, arm.name) in found for name in names):
            gaps = [found[n, arm.name].differences[0].mean_subset if (n, arm.name) in found else None for n in names]
            rows.append([f"`{arm.name}`: {arm.says}", f"`{arm.against[0]}`", *(_gap(gap) for gap in gaps)])
    return "## Overview: difference of the mean over subsets, test\n\n" + _table(["arm", "minus", *names], rows)


def _section(question: Question, found: Mapping[tuple[str, str], Line]) -> str:
    head = ["data", "arm", "step size", "mean of subsets", "rarest alone"]
    head += ["minus", "validation", "test: mean of subsets", "test: rarest alone"]
    rows = [
        row
        for setting in SETTINGS
        for name in question.arms
        if (setting.name, name) in found
        for row in _rows(found[setting.name, name])
    ]
    said = [f"`{arm}`: {BY_NAME[arm].says}" for arm in question.arms]
    return f"## {question.title}\n\n{question.asks}\n\n{'; '.join(said)}.\n\n" + _table(head, rows)


def _rows(line: Line) -> list[list[str]]:
    fewer = "" if line.seeds == len(SEEDS) else f" ({line.seeds} seeds)"
    own = [line.setting, f"`{line.arm.name}`", f"{line.lr:g}", _score(line.mean_subset) + fewer, _score(line.rare)]
    gaps = [[f"`{d.to}`", _gap(d.validation), _gap(d.mean_subset), _gap(d.rare)] for d in line.differences]
    first, *others = gaps or [[""] * 4]
    return [own + first, *([""] * len(own) + other for other in others)]


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _gap(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"**{interval}**" if interval.is_clear else str(interval)


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return "No run of this table is there."
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _misses(results: Results, found: Mapping[tuple[str, str], Line]) -> str:
    told = []
    for setting in SETTINGS:
        absent = [f"`{arm.name}`" for arm in ARMS if (setting.name, arm.name) not in found]
        if absent:
            told.append(f"* {setting.name}: not run: {'all arms' if len(absent) == len(ARMS) else ', '.join(absent)}.")
    told += [f"* failed: `{cell.key}`." for cell, result in results.items() if result is None]
    return "## What is not there\n\n" + ("\n".join(told) or "Every arm has run on every data set, and no run failed.")
