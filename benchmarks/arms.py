"""The ablation's data sets, questions and arms: each arm differs from the reference in what it says.

The reference is ``method=fedmce`` with the defaults of its time, spelt out, so that defaults which follow the
ablation leave its records valid. One factor at a time is changed from it, with a few pairs where one factor
alone cannot answer; docs/ablation.md says which question each arm answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.study import Setting

# Three sets under the default mechanism: one site has the rates in reverse order.
SETTINGS = (
    Setting("av_digits", ("dataset=av_digits",), "audio"),
    Setting("sound_mnist", ("dataset=sound_mnist",), "audio"),
    Setting(
        "leaves100",
        (
            "dataset=leaves100",
            "missingness.rates={margin: 0.2, shape: 0.8, texture: 0.5}",
            "missingness.reversed_sites=1",
        ),
        "shape",
    ),
)


@dataclass(frozen=True)
class Grid:
    """Step sizes to choose from; when the best is at an edge, one more beyond it is tried."""

    steps: tuple[float, ...]
    below: float
    above: float


ADAM = Grid((0.004, 0.008, 0.016), 0.002, 0.032)
SGD = Grid((0.02, 0.05, 0.1, 0.2), 0.01, 0.4)


REFERENCE = (
    "method=fedmce",
    "objective.unimodal_weight=1.0",
    "objective.rarity=global",
    "objective.capability=gap",
    "objective.capability_floor=0.5",
    "objective.smoothing=0.9",
    "objective.normalise=true",
    "objective.weight_cap=4.0",
    "objective.reference=running",
    "objective.incentive=loss",
    "objective.incentive_cap=3.0",
    "objective.subset_weight=1.0",
    "objective.subset_scale=sum",
    "objective.distil_weight=0.0",
    "objective.completion_weight=0.1",
    "objective.completion_target=token",
    "objective.completion_distance=smooth_l1",
    "objective.detach_target=true",
    "objective.train_through=0.0",
    "objective.use_completion=off",
    "aggregation.weighting=contribution",
    "aggregation.saturation_rows=50.0",
)


@dataclass(frozen=True)
class Arm:
    """One line of the ablation.

    Attributes:
        name: folder of its runs.
        says: what differs, for the table.
        overrides: of the reference's configuration, or of the preset's.
        against: arms that it is compared with, by name.
        grid: step sizes.
        tuned_as: it trains as that arm does and takes its step size; None = tuned itself.
        runs_of: it reads that arm's runs; None = has its own.
        completed: it reads the scores with completed tokens, not the plain ones.
        urgency: arms of a lower number run first.
        base: overrides that come before its own.
    """

    name: str
    says: str
    overrides: tuple[str, ...] = ()
    against: tuple[str, ...] = ("reference",)
    grid: Grid = ADAM
    tuned_as: str | None = None
    runs_of: str | None = None
    completed: bool = False
    urgency: int = 2
    base: tuple[str, ...] = REFERENCE

    @property
    def uses_completion(self) -> bool:
        """Its runs are also scored with completed tokens."""
        return any(text.startswith("objective.use_completion=") for text in self.overrides)


def _objective(*choices: str) -> tuple[str, ...]:
    return tuple(f"objective.{choice}" for choice in choices)


_NO_LCE = _objective("unimodal_weight=0")
_NO_RCE = _objective("subset_weight=0", "completion_weight=0")
_THROUGH = _objective("completion_weight=0.1", "train_through=0.5")
_SGD = ("training.optimiser=sgd",)
_PUBLISHED = ("method=mce_published",)
_NO_WEIGHTS = _objective("rarity=off", "capability=off")


def _repair(name: str, says: str, *overrides: str) -> Arm:
    return Arm(f"published_{name}", f"published, {says}", overrides, ("published",), urgency=4, base=_PUBLISHED)


ARMS = (
    Arm("reference", "repaired MCE, all defaults", against=(), urgency=0),
    # LCE and RCE as wholes
    Arm("plain", "neither LCE nor RCE: the task loss alone", _NO_LCE + _NO_RCE, urgency=0),
    Arm("modality_dropout", "preset `modality_dropout` (context)", urgency=1, base=("method=modality_dropout",)),
    Arm("no_lce", "no unimodal losses: RCE alone", _NO_LCE, urgency=0),
    Arm("no_rce", "no subset prediction, no completion: LCE alone", _NO_RCE, urgency=0),
    # LCE: what the weights are made of
    Arm("a_off", "A off", _objective("rarity=off"), urgency=1),
    Arm("b_off", "B off", _objective("capability=off"), urgency=1),
    Arm("ab_off", "A and B off: equal unimodal weights", _NO_WEIGHTS, urgency=0),
    Arm("a_local", "A local", _objective("rarity=local")),
    Arm("b_shapley", "B Shapley, running reference", _objective("capability=shapley"), urgency=1),
    Arm("b_shapley_frozen", "B Shapley, frozen reference", _objective("capability=shapley", "reference=frozen")),
    Arm("b_adaptive", "B adaptive", _objective("capability=adaptive")),
    # LCE: where the weights act
    Arm("step", "incentive on the step size", _objective("incentive=step"), ("reference", "ab_off"), urgency=0),
    Arm("rows", "incentive by extra passes", _objective("incentive=rows"), ("reference", "ab_off"), urgency=0),
    Arm("step_b_off", "incentive on the step size, A only", _objective("incentive=step", "capability=off"), ("step",)),
    Arm("sgd", "SGD, all else as the reference", _SGD, grid=SGD),
    Arm("sgd_ab_off", "SGD, A and B off", _SGD + _NO_WEIGHTS, ("sgd",), grid=SGD),
    # RCE: subset prediction
    Arm("subset_off", "subset prediction off", _objective("subset_weight=0"), urgency=0),
    Arm("subset_mean", "subsets of a row count as their mean", _objective("subset_scale=mean")),
    Arm("distil", "self-distillation to subsets, weight .5", _objective("distil_weight=0.5")),
    # RCE: completion
    Arm("completion_off", "completion off", _objective("completion_weight=0"), urgency=0),
    Arm(
        "beside_full",
        "completion beside, completed tokens used",
        _objective("use_completion=full"),
        tuned_as="reference",
        completed=True,
    ),
    Arm(
        "through",
        "trained through completed tokens, scored plain",
        _THROUGH + _objective("use_completion=full"),
        ("reference", "completion_off"),
        urgency=1,
    ),
    Arm(
        "through_full",
        "trained through, completed tokens used",
        against=("through", "reference"),
        tuned_as="through",
        runs_of="through",
        completed=True,
        urgency=1,
    ),
    Arm(
        "through_mean",
        "trained through, mean of completed and plain",
        _THROUGH + _objective("use_completion=mean"),
        ("through", "reference"),
        tuned_as="through",
        completed=True,
        urgency=1,
    ),
    Arm("fused_token", "completion predicts the fused token", _objective("completion_target=fused_token")),
    # server
    Arm("samples", "aggregation by samples, not contribution", ("aggregation.weighting=samples",)),
    # the public code
    Arm("published", "published MCE, every defect", urgency=3, base=_PUBLISHED),
    Arm(
        "repaired_like",
        "repaired MCE in published MCE's fusion and aggregation",
        ("model=concat", "aggregation.weighting=samples", "aggregation.saturation_rows=null"),
        ("published", "reference"),
        urgency=3,
    ),
    _repair("detach", "completion target detached", "objective.detach_target=true"),
    _repair("no_leak", "no leak", "objective.published.leak=false"),
    _repair("bind_row", "mask bound to the row", "missingness.bind=row"),
    _repair("no_zeros", "absent is absent, not zeros", "objective.published.zeros_as_data=false"),
    _repair("undiluted", "unimodal means over holders", "objective.published.diluted=false"),
    _repair("all_terms", "every completion term", "objective.published.lost_terms=false"),
    _repair(
        "b_shapley", "B from exact Shapley, floor .5", "objective.capability=shapley", "objective.capability_floor=0.5"
    ),
    _repair(
        "weights",
        "A global, weights normalised and capped",
        "objective.rarity=global",
        "objective.normalise=true",
        "objective.weight_cap=4.0",
    ),
    _repair("residual", "residual fusion", "model=residual"),
)
BY_NAME = {arm.name: arm for arm in ARMS}


@dataclass(frozen=True)
class Question:
    """A table of docs/ablation.md: what it asks and which arms answer; the first is only shown."""

    title: str
    asks: str
    arms: tuple[str, ...]


QUESTIONS = (
    Question(
        "LCE and RCE as wholes",
        "{LCE on, off} x {RCE on, off}, in full; modality dropout for context. `plain` and `modality_dropout` keep the "
        "fusion; `modality_dropout` is aggregated by samples.",
        ("reference", "no_lce", "no_rce", "plain", "modality_dropout"),
    ),
    Question(
        "LCE: rarity A and capability B",
        "{A on, off} x {B on, off}, in full, then A global (reference) or local, and B gap (reference), Shapley or adaptive. "
        "The weights act on the unimodal losses throughout. The frozen reference spends its warm-up rounds out of the same "
        "number of rounds.",
        ("reference", "a_off", "b_off", "ab_off", "a_local", "b_shapley", "b_shapley_frozen", "b_adaptive"),
    ),
    Question(
        "LCE: where the incentive acts",
        "{loss, step, rows} with A and B on, the step once with A alone; `ab_off` is the same training without any "
        "incentive. SGD, where a loss weight is not normalised away, with and without weights.",
        ("reference", "ab_off", "step", "step_b_off", "rows", "sgd", "sgd_ab_off"),
    ),
    Question(
        "RCE: subset prediction",
        "On or off with completion on; off with completion off (`no_rce`); scaled as a mean; with self-distillation.",
        ("reference", "subset_off", "no_rce", "subset_mean", "distil"),
    ),
    Question(
        "RCE: completion",
        "Off, beside (reference) or trained through, each scored plain and with completed tokens in place of absent ones; "
        "the fused token as target. Subset prediction is on throughout. `through` and `through_full` are the same runs, scored "
        "twice; `beside_full` trains as the reference and `through_mean` as `through`, and so take their step sizes.",
        (
            "reference",
            "completion_off",
            "beside_full",
            "through",
            "through_full",
            "through_mean",
            "fused_token",
        ),
    ),
    Question(
        "Aggregation",
        "Rows times the standardised contribution (reference), or rows alone, saturating alike.",
        ("reference", "samples"),
    ),
    Question(
        "The public code, and what each repair is worth",
        "{published, repaired}: the public code's quantities in one column (`published`), one repair at a time from there, and "
        "all repairs in the same fusion and aggregation (`repaired_like`). Repairs are not crossed with one another or "
        "with the factors above.",
        (
            "reference",
            "published",
            "repaired_like",
            "published_detach",
            "published_no_leak",
            "published_bind_row",
            "published_no_zeros",
            "published_undiluted",
            "published_all_terms",
            "published_b_shapley",
            "published_weights",
            "published_residual",
        ),
    ),
)
