"""The whole configuration of a run as one frozen pydantic object, one class per config group.

Functions take the two values that they use; only constructors of a room take its section. Nothing
here knows how anything is computed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys refused, values frozen, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- data sets -----------------------------------------------------------------------------------


class AvDigitsConfig(Section):
    """Real UCI handwriting with synthetic speech; embedded, needs no download."""

    name: Literal["av_digits"] = "av_digits"
    train_rows: int | None = Field(None, ge=10, description="training rows per site; null = all")
    image_noise: float = Field(0.65, ge=0, le=4, description="added pixel noise, in standard deviations of the pixels")
    audio_noise: float = Field(
        0.0, ge=0, le=4, description="added MFCC noise, in standard deviations of each coefficient"
    )


class SoundMnistConfig(Section):
    """FSDD recordings of six speakers paired with MNIST images."""

    name: Literal["sound_mnist"] = "sound_mnist"
    pairs: Literal["av6", "smil"] = Field("av6", description="list of pairs: av6_pairs.csv or smil_pairs.csv")
    feature: Literal["log_mel", "mfcc"] = "log_mel"
    train_rows: int | None = Field(
        100, ge=10, description="training rows per speaker, drawn by seed; null = all that are left"
    )
    validation_rows: int = Field(50, ge=0, description="validation rows per speaker, from the official training part")
    unseen_speaker: str | None = Field(None, description="speaker that never trains; all of its test rows are the test")


class HeartDiseaseConfig(Section):
    """Four hospitals, five blocks of tests with their natural gaps."""

    name: Literal["heart_disease"] = "heart_disease"
    test_share: float = Field(0.3, gt=0, lt=0.8, description="share of each hospital's rows kept for test, stratified")
    validation_share: float = Field(0.15, ge=0, lt=0.5, description="share of each hospital's rows kept for validation")


class Leaves100Config(Section):
    """Three views of the leaves of 100 species, dealt to made sites."""

    name: Literal["leaves100"] = "leaves100"
    views: tuple[Literal["margin", "shape", "texture"], ...] = Field(
        ("margin", "shape", "texture"), min_length=1, description="views that take part"
    )
    parts: Literal[1, 2, 4, 8, 16] = Field(
        1, description="cut each view into so many blocks of columns, each a modality of its own; at most 32 in all"
    )
    site_count: int = Field(10, ge=1, le=100, description="made sites")
    label_skew: float | None = Field(
        None, gt=0, description="Dirichlet concentration of classes over sites; null = every site alike"
    )
    test_rows: int = Field(4, ge=1, le=8, description="of a species' 16 leaves, kept for test")
    validation_rows: int = Field(2, ge=0, le=7, description="of a species' 16 leaves, kept for validation")

    @model_validator(mode="after")
    def _few_enough(self) -> Leaves100Config:
        if len(set(self.views)) != len(self.views):
            raise ValueError(f"views: given {list(self.views)}; each view once")
        if len(self.views) * self.parts > 32:
            raise ValueError(f"parts: given {self.parts} of {len(self.views)} views; at most 32 modalities in all")
        if self.test_rows + self.validation_rows >= 16:
            raise ValueError("test_rows + validation_rows: a species has 16 leaves, some of which must train")
        return self


class HaptConfig(Section):
    """Activities of 30 people from a phone at the waist: gravity, body acceleration, gyroscope."""

    name: Literal["hapt"] = "hapt"
    train_rows: int | None = Field(
        50, ge=10, description="training windows per person, drawn by seed; null = all that are left"
    )
    validation_rows: int = Field(50, ge=0, description="validation windows per person who trains")
    test_rows: int | None = Field(100, ge=10, description="test windows per unseen person, drawn by seed; null = all")
    axes: bool = Field(False, description="each axis of each signal is a modality of its own: nine in all")


DatasetConfig = Annotated[
    AvDigitsConfig | SoundMnistConfig | HeartDiseaseConfig | Leaves100Config | HaptConfig, Field(discriminator="name")
]


# --- missingness ---------------------------------------------------------------------------------


class MaskedSection(Section):
    """What all mechanisms share."""

    bind: Literal["row", "position"] = Field(
        "row",
        description="a mask belongs to its row; position = to the place in the shuffled epoch, as in public code that "
        "thereby shows every row complete sooner or later (only to measure what that defect is worth)",
    )


class NaturalConfig(MaskedSection):
    """Hide nothing: only the gaps that the data came with."""

    name: Literal["natural"] = "natural"


class ImbalancedConfig(MaskedSection):
    """One missing rate per modality, the same at every site."""

    name: Literal["imbalanced"] = "imbalanced"
    rates: dict[str, Rate] = Field(description="missing share of each modality's rows, e.g. {audio: 0.8, image: 0.2}")
    draw: Literal["exact", "independent"] = Field("exact", description="exact count per site, or each row by itself")


class SitewiseConfig(MaskedSection):
    """One missing rate per site and modality; 1 = the site lacks the modality."""

    name: Literal["sitewise"] = "sitewise"
    rates: dict[str, Rate | tuple[Rate, Rate]] = Field(
        description="missing share per modality: one number, or [low, high] from which each site draws its own"
    )
    reversed_sites: int | tuple[str, ...] = Field(
        1,
        description="sites at which the modalities swap rates in reverse order: a count (first in data set order) or names",
    )
    holders: dict[str, int | tuple[str, ...]] = Field(
        default_factory=dict,
        description="modality held only by so many sites (first in data set order) or by the named ones; rate 1 elsewhere",
    )
    table: dict[str, dict[str, Rate]] = Field(
        default_factory=dict, description="site -> modality -> rate; wins over all of the above"
    )
    draw: Literal["exact", "independent"] = "exact"

    @model_validator(mode="after")
    def _ranges_ascend(self) -> SitewiseConfig:
        for modality, rate in self.rates.items():
            if isinstance(rate, tuple) and rate[0] > rate[1]:
                raise ValueError(f"rates.{modality}: given {list(rate)}; needed [low, high] with low at most high")
        return self


MissingnessConfig = Annotated[NaturalConfig | ImbalancedConfig | SitewiseConfig, Field(discriminator="name")]


# --- model ---------------------------------------------------------------------------------------


class ModelConfig(Section):
    """Encoders, width and fusion of the shared network."""

    width: int = Field(32, ge=4, le=1024, description="length of a token")
    fusion: Literal["concat", "mean", "residual", "transformer"] = "residual"
    fusion_hidden: int = Field(32, ge=4, le=1024, description="hidden units of the fused head")
    encoders: dict[str, Literal["conv_image", "conv_spectrogram", "conv_series", "mlp"]] = Field(
        default_factory=dict, description="encoder per modality; default by its kind"
    )
    absent: Literal["skip", "zero_input"] = Field(
        "skip",
        description="skip: an absent modality is never encoded; zero_input: zeros are encoded in its place (baseline)",
    )


# --- objectives ----------------------------------------------------------------------------------


class TaskObjectiveConfig(Section):
    """Loss of the fused prediction from everything a row holds."""

    name: Literal["task"] = "task"


class ModalityDropoutConfig(Section):
    """The task loss on a random non-empty part of what each row holds."""

    name: Literal["modality_dropout"] = "modality_dropout"
    rate: float = Field(0.3, ge=0, lt=1, description="probability to hide a present modality, per row and step")


class PublishedConfig(Section):
    """What the public MCE code does otherwise (method.md 2.6), each behind a switch; all off = repaired.

    The rest of it has names of its own: ``rarity=raw``, ``capability=published``, ``normalise=false``,
    ``weight_cap=null``, ``detach_target=false``, ``missingness.bind=position``.
    """

    leak: bool = Field(
        False, description="subsets, unimodal heads and completion read tokens that were mixed with the hidden ones"
    )
    lost_terms: bool = Field(False, description="only the last subset of a row counts in its completion loss")
    zeros_as_data: bool = Field(False, description="the fused path encodes zeros for what a row lacks")
    diluted: bool = Field(False, description="rows without a modality enter its unimodal mean with logits 0")


class MceConfig(Section):
    """Task + LCE + RCE (method.md 2)."""

    name: Literal["mce"] = "mce"
    # LCE: learning capability enhancement
    unimodal_weight: float = Field(1.0, ge=0, description="a_uni: weight of the unimodal losses (LCE)")
    rarity: Literal["global", "local", "raw", "off"] = Field(
        "global",
        description="A_m, rarity: rows over rows that hold m at all sites, here (local, raw = local as published)",
    )
    capability: Literal["gap", "shapley", "adaptive", "published", "off"] = Field(
        "gap", description="B_m, capability: gap of the unimodal head, shortfall of the Shapley value, or adaptive"
    )
    capability_floor: float = Field(0.5, ge=0, description="b_0: above 0 no modality is switched off")
    smoothing: float = Field(0.9, ge=0, lt=1, description="exponential mean of B_m over batches")
    adaptive_rate: float = Field(1.0, gt=0, description="of capability=adaptive: pull of a gap above the mean gap")
    normalise: bool = Field(True, description="bring the weights w_m = A_m B_m to mean 1 over the site's modalities")
    weight_cap: float | None = Field(4.0, ge=1, description="w_max: largest weight of a modality; null = none")
    value: Literal["accuracy", "probability", "soft_dice", "negative_squared_error"] = Field(
        "accuracy", description="v_i(S): what the prediction of a row from a subset is worth to LCE"
    )
    reference: Literal["running", "frozen"] = Field(
        "running", description="u_im, the unimodal reference: the model's own heads, or those of warm-up rounds"
    )
    warmup_rounds: int = Field(
        5, ge=1, description="of reference=frozen: first rounds, that train encoders and heads only"
    )
    incentive: Literal["loss", "step", "rows"] = Field(
        "loss", description="where w_m acts: unimodal losses, step size of encoder and head, or extra passes over rows"
    )
    incentive_cap: float = Field(3.0, ge=1, description="of incentive=step and rows: largest multiple")
    # RCE: representation capability enhancement
    subset_weight: float = Field(1.0, ge=0, description="a_sub: weight of subset prediction (RCE)")
    subset_scale: Literal["mean", "sum"] = Field(
        "sum", description="subsets of a row count as their mean (method.md 2.3) or each like the full one"
    )
    subsets: Literal["auto", "all", "sampled"] = Field(
        "auto", description="subsets per row: all up to 6 modalities and sampled beyond (auto), or as named"
    )
    subset_budget: int = Field(8, ge=2, description="of sampled subsets: how many per row and step")
    distil_weight: float = Field(0.0, ge=0, description="a_kd: self-distillation from the full to the smaller subsets")
    distil_temperature: float = Field(2.0, gt=0, description="softness of what is distilled")
    completion_weight: float = Field(0.1, ge=0, description="a_comp: weight of completion of hidden tokens (RCE)")
    completion_target: Literal["token", "fused_token"] = Field(
        "token", description="completion predicts the hidden token, or the fused state of everything the row holds"
    )
    completion_distance: Literal["smooth_l1", "cosine", "mse"] = "smooth_l1"
    detach_target: bool = Field(True, description="no gradient into a completion target; without, tokens collapse")
    detach_source: bool = Field(False, description="no gradient from completion into the tokens that it reads")
    train_through: float = Field(
        0.0, ge=0, description="weight of the task loss on predictions that use completed tokens for what S lacks"
    )
    use_completion: Literal["off", "full", "mean"] = Field(
        "off",
        description="also score with completed tokens in place of absent ones, or averaged with the plain prediction",
    )
    published: PublishedConfig = PublishedConfig.model_validate({})

    @property
    def completes(self) -> bool:
        """Completion heads are trained."""
        return self.completion_weight > 0 or self.train_through > 0

    @model_validator(mode="after")
    def _fits(self) -> MceConfig:
        if self.completion_target == "fused_token" and (self.train_through > 0 or self.use_completion != "off"):
            raise ValueError(
                "completion_target=fused_token predicts no token, so none can stand in for an absent one; "
                "train_through and use_completion need completion_target=token"
            )
        if self.use_completion != "off" and not self.completes:
            raise ValueError("use_completion needs completion heads: completion_weight or train_through above 0")
        if self.capability in ("shapley", "published") and self.subsets == "sampled":
            raise ValueError(f"capability={self.capability} needs the value of every subset; use gap, or subsets=all")
        return self


ObjectiveConfig = Annotated[TaskObjectiveConfig | ModalityDropoutConfig | MceConfig, Field(discriminator="name")]


# --- training, aggregation, engine ---------------------------------------------------------------


class TrainingConfig(Section):
    """Local training at a site."""

    local_epochs: int = Field(2, ge=1, description="passes over the site's rows per round")
    batch_size: int = Field(32, ge=1, description="rows per step")
    lr: float = Field(0.008, gt=0, le=10, description="step size of the local optimiser")
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    final_lr_share: float = Field(
        1.0, ge=0, le=1, description="the step size falls to this share of lr over the rounds (cosine); 1 = constant"
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|auto)$", description="cpu, cuda, cuda:N or auto")
    amp: bool = Field(False, description="bf16 autocast in training (CUDA)")
    compile: bool = Field(
        False, description="torch.compile the fusion and the encoders: long first step, faster later ones"
    )
    resident: Literal["auto", "always", "never"] = Field(
        "auto", description="keep a site's rows on the device: when they fit (auto), or as named"
    )
    threads: int = Field(1, ge=1, description="torch threads per process; part of the determinism promise")


class AggregationConfig(Section):
    """How the server weighs the holders of one component."""

    weighting: Literal["contribution", "samples", "uniform"] = "contribution"
    saturation_rows: float | None = Field(
        None,
        gt=0,
        description="n rows count as n / (1 + n / this), since more rows of one site teach little more; null = as n",
    )
    smoothing: float = Field(0.7, ge=0, lt=1, description="exponential mean of contributions over rounds")
    shrink_rows: float = Field(30.0, ge=0, description="rows at which a contribution ratio counts half")
    clip_low: float = Field(0.05, gt=0, le=1, description="smallest contribution ratio")
    clip_high: float = Field(2.0, ge=1, description="largest contribution ratio")
    whole_model: bool = Field(False, description="every site trains and returns every component (plain FedAvg)")
    accept_min: int = Field(1, ge=1, description="with fewer accepted replies the round is void")
    magnitude_limit: float = Field(1e4, gt=0, description="a reply with a larger absolute value is set aside")
    deadline_s: float = Field(900.0, gt=0, description="longest wait for the replies of a round")


class ContributionsConfig(Section):
    """What each modality gives, measured in evaluation mode in every round."""

    source: Literal["received", "heldout", "server"] = Field(
        "received",
        description="rows they are measured on: the site's training rows before it trains on the received model, "
        "rows that it never trains on, or validation rows at the server with the model that the site returned",
    )
    heldout_share: float = Field(0.2, gt=0, lt=0.9, description="of source=heldout: share of a site's training rows")
    value: Literal["accuracy", "probability", "soft_dice", "negative_squared_error"] = Field(
        "accuracy", description="v_i(S): what the prediction of a row from a subset is worth"
    )
    index: Literal["shapley", "banzhaf", "leave_one_out"] = Field(
        "shapley", description="index that weights and reports use; exact tables hold all of them"
    )
    estimator: Literal["auto", "exact", "antithetic", "stratified", "kernel"] = Field(
        "auto", description="exact up to 8 modalities and antithetic permutations beyond (auto), or as named"
    )
    budget: int = Field(64, ge=4, description="of a sampled estimator: subsets predicted per row")


class EngineConfig(Section):
    """Who runs the apps."""

    name: Literal["inprocess", "flower"] = "inprocess"
    cpus_per_site: int = Field(1, ge=1, description="engine flower: CPUs that Ray reserves for a site")
    gpus_per_site: float = Field(0.0, ge=0, description="engine flower: share of a GPU that Ray reserves for a site")
    timeout_s: float = Field(3600.0, gt=0, description="engine flower: longest wait for the run")


class RunConfig(Section):
    """Everything that decides a run."""

    method: str = Field(
        "fedmce", pattern=r"^[a-z0-9_]+$", description="preset that set objective, model and aggregation"
    )
    name: str = Field("run", pattern=r"^[A-Za-z0-9._-]+$", description="last part of the run folder's name")
    seed: int = Field(0, ge=0, lt=2**31, description="root of every random stream")
    rounds: int = Field(30, ge=1, le=100_000, description="rounds of training")
    evaluate_every: int = Field(
        1, ge=1, description="rounds between two scores of the test rows; the last round always counts"
    )
    data_dir: str | None = Field(None, description="folder that holds one folder per downloaded data set")
    out: str | None = Field(None, description="this very run folder; default runs/<utc time>-<name>")
    sites: tuple[str, ...] | None = Field(None, description="take part in this order; default all of the data set")
    dataset: DatasetConfig
    missingness: MissingnessConfig
    model: ModelConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    aggregation: AggregationConfig
    contributions: ContributionsConfig
    engine: EngineConfig

    @model_validator(mode="after")
    def _agree(self) -> RunConfig:
        zero, whole = self.model.absent == "zero_input", self.aggregation.whole_model
        if whole and not zero:
            raise ValueError(
                "aggregation.whole_model=true needs model.absent=zero_input: a site cannot train what it never encodes"
            )
        if zero and self.objective.name != "task":
            raise ValueError(
                f"model.absent=zero_input is plain FedAvg; objective={self.objective.name} needs model.absent=skip"
            )
        return self

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; the form that travels and is hashed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def fingerprint(self) -> str:
        """sha256 of what decides the numbers: all but name, places, order of sites and engine."""
        tree: dict[str, Any] = self.model_dump(mode="json", exclude={"name", "out", "data_dir", "engine", "sites"})
        tree["sites"] = sorted(self.sites) if self.sites is not None else None
        return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
