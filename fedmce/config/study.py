"""Section of a study file: methods x settings x seeds, tuning, comparisons and bars (docs/studies-howto.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from fedmce.config.nearest import unknown
from fedmce.config.section import Section

BEST = "best"
"""In a bar: the method, neither the first nor a bound, with the highest mean in the setting."""
OWNED = ("seed", "name", "out")
"""Keys of a run that a study sets itself."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")]
Value = bool | int | float | str
Grid = dict[str, tuple[Value, ...]]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class SettingConfig(Section):
    """A data set under a protocol."""

    overrides: tuple[str, ...] = Field((), description="overrides of the run, such as dataset=sound_mnist")
    dataset: str | None = Field(None, description="label of the data set; default its name")
    protocol: str | None = Field(None, description="label of the protocol; default the setting's name")
    rare: str | None = Field(None, description="subset whose own score is compared beside the metric, as `rare`")
    x: float | None = Field(None, description="place on a curve, such as the missing rate")
    curve: str | None = Field(None, description="settings with x of one curve; default: those of one data set")


class MethodConfig(Section):
    """A method as one row of the tables."""

    overrides: tuple[str, ...] = Field((), description="overrides of the run, such as method=fedmce")
    tuned_as: str | None = Field(None, description="take the values tuned for this method")
    grid: Grid | None = Field(None, description="its own values to choose from, no more of them than the study's")
    bound: bool = Field(False, description="a bound and no competitor: left out of ranks and of the best baseline")
    unpaired_masks: bool = Field(False, description="sees other masks by definition; its pairs share seeds only")


class TuningConfig(Section):
    """Choice of hyper-parameters by validation scores, the same budget for every method."""

    seeds: tuple[Seed, ...] = Field((1000, 1001), min_length=1, description="seeds that no comparison uses")
    grid: Grid = Field(min_length=1, description="per key the values to try; all combinations are run")
    per: Literal["setting", "dataset"] = Field(
        "setting",
        description="choose for each setting, or on the first setting of each data set for all of its settings",
    )
    select: Literal["mean_subset"] = Field("mean_subset", description="validation score that decides")


class BarConfig(Section):
    """What a difference must reach; shown beside what was measured."""

    name: str = Field("", description="shown in the table; default made from the rest")
    settings: str = Field("*", description="pattern of the names of the settings it holds for")
    pair: tuple[str, str] = Field(description="first minus second; the second may be `best`")
    metric: str | None = Field(None, description="default the study's")
    at_least: float | None = Field(None, description="the mean difference reaches this")
    above: float | None = Field(None, description="the lower end of the paired 95 % interval is above this")
    not_below: float | None = Field(None, description="the upper end of the paired 95 % interval reaches this")
    ratio: float | None = Field(None, description="the first's mean is at least this share of the second's")
    needed: int | None = Field(None, ge=1, description="settings that must reach it; default all")


class TraceConfig(Section):
    """The run whose contributions and weights are drawn over rounds."""

    setting: str | None = Field(None, description="default the first")
    method: str | None = Field(None, description="default the reference")
    seed: int | None = Field(None, description="default the first")


class StudyConfig(Section):
    """Everything that a study compares."""

    name: Name
    title: str = Field("", description="headline of the page; default the name")
    common: tuple[str, ...] = Field((), description="overrides of all runs; settings, methods and tuned values win")
    settings: dict[Name, SettingConfig] = Field(min_length=1)
    methods: dict[Name, MethodConfig] = Field(min_length=1)
    reference: str = Field(description="method that is compared with each other one")
    seeds: tuple[Seed, ...] = Field(min_length=1, description="seeds of the comparison")
    tuning: TuningConfig | None = Field(None, description="null: no choice, configurations as they stand")
    contrasts: tuple[tuple[str, str], ...] = Field((), description="further pairs of methods, first minus second")
    x_label: str = Field("missing rate", description="what x of the settings is")
    metric: str = Field("mean_subset", description="score that is compared")
    more_metrics: tuple[str, ...] = Field((), description="further scores that are compared, such as worst_subset")
    bars: tuple[BarConfig, ...] = ()
    trace: TraceConfig = TraceConfig.model_construct()

    @field_validator("settings", "methods", mode="before")
    @classmethod
    def _lists_are_overrides(cls, given: Any) -> Any:
        """``name: [key=value, ...]`` is short for ``name: {overrides: [key=value, ...]}``."""
        if not isinstance(given, dict):
            return given
        return {key: {"overrides": value} if isinstance(value, list | tuple) else value for key, value in given.items()}

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs that are compared: the reference with each other method, then the contrasts, each once."""
        own = [(self.reference, name) for name in self.methods if name != self.reference]
        return tuple(dict.fromkeys([*own, *self.contrasts]))

    def metrics(self) -> tuple[str, ...]:
        """All metrics that are compared, each once; ``rare`` comes along where a setting names a rare subset."""
        rare = ["rare"] if any(setting.rare for setting in self.settings.values()) else []
        return tuple(dict.fromkeys([self.metric, *self.more_metrics, *rare]))


def disagreements(study: StudyConfig) -> list[str]:
    """What keys of a study say against each other, one message each."""
    return [*_names(study), *_seeds(study), *_grids(study), *_owned(study)]


def _names(study: StudyConfig) -> Iterator[str]:
    methods = list(study.methods)
    asked = [("reference", study.reference)]
    asked += [(f"methods.{name}.tuned_as", m.tuned_as) for name, m in study.methods.items() if m.tuned_as is not None]
    asked += [(f"contrasts.{i}", name) for i, pair in enumerate(study.contrasts) for name in pair]
    asked += [(f"bars.{i}.pair", name) for i, bar in enumerate(study.bars) for name in bar.pair if name != BEST]
    asked += [("trace.method", study.trace.method)] if study.trace.method is not None else []
    yield from (f"{where}: {unknown('method', name, methods)}" for where, name in asked if name not in methods)
    for i, bar in enumerate(study.bars):
        if not any(fnmatchcase(name, bar.settings) for name in study.settings):
            yield f"bars.{i}.settings: given {bar.settings!r}; needed a pattern of some of {', '.join(study.settings)}"
        if bar.pair[0] == BEST:
            yield f"bars.{i}.pair: given best first; needed a method first, as in [{study.reference}, best]"
        if bar.at_least is bar.above is bar.not_below is bar.ratio is None:
            yield f"bars.{i}: nothing to reach; needed at_least, above, not_below or ratio"
    if study.trace.setting is not None and study.trace.setting not in study.settings:
        yield f"trace.setting: {unknown('setting', study.trace.setting, study.settings)}"
    for name, method in study.methods.items():
        if method.tuned_as in study.methods and study.methods[str(method.tuned_as)].tuned_as is not None:
            yield f"methods.{name}.tuned_as: {method.tuned_as} is tuned as another itself; needed a method that is tuned"


def _seeds(study: StudyConfig) -> Iterator[str]:
    tuning = study.tuning.seeds if study.tuning else ()
    for where, seeds in (("seeds", study.seeds), ("tuning.seeds", tuning)):
        if len(set(seeds)) != len(seeds):
            yield f"{where}: given {list(seeds)}; needed each seed once"
    if both := sorted(set(study.seeds) & set(tuning)):
        yield f"tuning.seeds: given {both}, which the comparison uses; needed other seeds"
    if study.trace.seed is not None and study.trace.seed not in study.seeds:
        yield f"trace.seed: given {study.trace.seed}; needed one of {list(study.seeds)}"


def _grids(study: StudyConfig) -> Iterator[str]:
    own = {f"methods.{name}.grid": method.grid for name, method in study.methods.items() if method.grid is not None}
    if study.tuning is None:
        yield from (f"{where}: given without tuning; needed tuning.grid, whose size is the budget" for where in own)
        return
    budget = size_of(study.tuning.grid)
    for where, grid in {"tuning.grid": study.tuning.grid, **own}.items():
        if not grid or not all(grid.values()):
            yield f"{where}: a key without values; needed at least one value per key"
        elif size_of(grid) > budget:
            yield f"{where}: {size_of(grid)} combinations; needed at most {budget}, the budget of every method (tuning.grid)"
        if taken := sorted(set(grid) & set(OWNED)):
            yield f"{where}: given {', '.join(taken)}; the study sets {', '.join(OWNED)} itself"


def size_of(grid: Mapping[str, tuple[Value, ...]]) -> int:
    """Number of combinations."""
    size = 1
    for values in grid.values():
        size *= len(values)
    return size


def _owned(study: StudyConfig) -> Iterator[str]:
    places = {"common": study.common}
    places |= {f"settings.{name}": setting.overrides for name, setting in study.settings.items()}
    places |= {f"methods.{name}": method.overrides for name, method in study.methods.items()}
    for where, overrides in places.items():
        for text in overrides:
            if text.partition("=")[0].strip().lstrip("+~") in OWNED:
                yield f"{where}: given {text}; the study sets {', '.join(OWNED)} itself. remove it"
