"""The whole configuration of a run as one frozen pydantic object, one class per config group.

Functions take the two values that they use; only constructors of a room take its section. Nothing
here knows how anything is computed. The groups with many choices have files of their own beside this one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, model_validator

from fedmce.config.baselines import (
    FlismConfig,
    LateFusionConfig,
    MoonConfig,
    OgmGeConfig,
    PrototypesConfig,
    ProxConfig,
    SiteDropoutConfig,
    baseline_problems,
)
from fedmce.config.baselines_central import (
    PassionConfig,
    PythonConfig,
    RedcoreConfig,
    ShaspecConfig,
    central_problems,
)
from fedmce.config.baselines_server import FedMSplitConfig, HarmonyConfig, ScaffoldConfig, server_problems
from fedmce.config.datasets import (
    AvDigitsConfig,
    DatasetConfig,
    HaptConfig,
    HeartDiseaseConfig,
    Leaves100Config,
    SoundMnistConfig,
)
from fedmce.config.exchange import ExchangeConfig
from fedmce.config.folders import FoldersConfig
from fedmce.config.missingness import (
    BurstyConfig,
    FileConfig,
    ImbalancedConfig,
    MarConfig,
    McarConfig,
    MissingnessConfig,
    MnarConfig,
    NaturalConfig,
    NestedConfig,
    PatternMixtureConfig,
    PatternProductConfig,
    PatternTableConfig,
    RareConfig,
    RowShareConfig,
    SiteBernoulliConfig,
    SiteFractionConfig,
    SiteTableConfig,
    SitewiseConfig,
    TwoLevelConfig,
)
from fedmce.config.objectives import (
    MceConfig,
    ModalityDropoutConfig,
    ObjectiveConfig,
    PublishedConfig,
    TaskObjectiveConfig,
)
from fedmce.config.partition import PartitionConfig
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.privacy_rules import privacy_problems
from fedmce.config.quality import QualityConfig
from fedmce.config.section import Section
from fedmce.config.trust import ClaimsConfig, RobustConfig

__all__ = [
    "AggregationConfig",
    "AvDigitsConfig",
    "BurstyConfig",
    "ClaimsConfig",
    "ContributionsConfig",
    "DatasetConfig",
    "EngineConfig",
    "ExchangeConfig",
    "FedMSplitConfig",
    "FileConfig",
    "FlismConfig",
    "FoldersConfig",
    "HaptConfig",
    "HarmonyConfig",
    "HeartDiseaseConfig",
    "ImbalancedConfig",
    "LateFusionConfig",
    "Leaves100Config",
    "MarConfig",
    "McarConfig",
    "MceConfig",
    "MissingnessConfig",
    "MnarConfig",
    "ModalityDropoutConfig",
    "ModelConfig",
    "MoonConfig",
    "NaturalConfig",
    "NestedConfig",
    "ObjectiveConfig",
    "OgmGeConfig",
    "PartitionConfig",
    "PassionConfig",
    "PatternMixtureConfig",
    "PatternProductConfig",
    "PatternTableConfig",
    "PrivacyConfig",
    "PrototypesConfig",
    "ProxConfig",
    "PublishedConfig",
    "PythonConfig",
    "QualityConfig",
    "RareConfig",
    "RedcoreConfig",
    "RobustConfig",
    "RowShareConfig",
    "RunConfig",
    "ScaffoldConfig",
    "Section",
    "ServerOptimiserConfig",
    "ShaspecConfig",
    "SiteBernoulliConfig",
    "SiteDropoutConfig",
    "SiteFractionConfig",
    "SiteTableConfig",
    "SitewiseConfig",
    "SoundMnistConfig",
    "TaskObjectiveConfig",
    "TrainingConfig",
    "TwoLevelConfig",
]


class ModelConfig(Section):
    """Encoders, width and fusion of the shared network."""

    width: int = Field(32, ge=4, le=1024, description="length of a token")
    fusion: Literal["additive", "concat", "late", "mean", "residual", "shaspec", "transformer"] = "residual"
    fusion_hidden: int = Field(32, ge=4, le=1024, description="hidden units of the fused head")
    encoders: dict[str, Literal["conv_image", "conv_spectrogram", "conv_series", "mlp"]] = Field(
        default_factory=dict, description="encoder per modality; default by its kind"
    )
    absent: Literal["skip", "zero_input", "mean_input", "knn_input", "completed"] = Field(
        "skip",
        description="skip: an absent modality is never encoded; zero_input, mean_input, knn_input: zeros, the federated "
        "mean sample or the mean of similar rows of the site are encoded in its place; completed: its token is guessed",
    )
    neighbours: int = Field(5, ge=1, description="of absent=knn_input: similar rows")
    normalisation: Literal["none", "batch"] = Field(
        "none", description="batch: batch normalisation after the convolutions and hidden layers of encoders"
    )

    @property
    def reads_heads(self) -> bool:
        """The fused prediction contains the unimodal logits, so that training it trains the heads."""
        return self.fusion in ("additive", "late", "residual")


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


class ServerOptimiserConfig(Section):
    """What the server makes of the mean update of a component (Reddi et al. 2021, Hsu et al. 2019)."""

    name: Literal["none", "momentum", "adam", "yogi"] = Field("none", description="none: the mean is the next state")
    lr: float = Field(1.0, gt=0, description="server step size")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean update (momentum: its momentum)")
    beta2: float = Field(0.99, ge=0, lt=1, description="of adam and yogi: decay of the squared update")
    tau: float = Field(1e-3, gt=0, description="of adam and yogi: added to the root, and v starts at its square")


class AggregationConfig(Section):
    """How the server weighs the holders of one component, and what it makes of their mean."""

    weighting: Literal["contribution", "samples", "uniform", "inverse_entropy"] = "contribution"
    rule: Literal["mean", "fedmsplit", "harmony"] = Field(
        "mean", description="one state for all sites, or a state per site: FedMSplit's attention, Harmony's clusters"
    )
    clusters: int = Field(3, ge=1, description="of rule=harmony: clusters of sites by how far their encoders moved")
    private: tuple[Literal["encoder", "projection", "head", "completion", "fusion", "normalisation"], ...] = Field(
        (), description="kinds of components that never leave a site; then sites score their test rows themselves"
    )
    finetune_epochs: int = Field(
        0, ge=0, description="epochs that a site trains its heads and fusion alone before it scores its test rows"
    )
    server: ServerOptimiserConfig = ServerOptimiserConfig.model_validate({})
    saturation_rows: float | None = Field(
        None,
        gt=0,
        description="n rows count as n / (1 + n / this), since more rows of one site teach little more; null = as n",
    )
    smoothing: float = Field(0.7, ge=0, lt=1, description="exponential mean of contributions over rounds")
    fusion_counts: Literal["rows", "pairs"] = Field(
        "rows",
        description="what a site's fusion counts by: its rows, or the (row, subset) pairs that its rows hold, so that "
        "sites which hold more modalities together say more of how to join them",
    )
    belief: Literal["bound", "between"] = Field(
        "between",
        description="a contribution ratio counts as far as it stands out against the largest error that its rows allow "
        "(bound), or as far as sites differ more than chance lets them (between, random effects)",
    )
    tolerance: float | None = Field(
        0.5,
        gt=0,
        le=1,
        description="of belief=between: a ratio of at least this counts as 1, since sites differ for many reasons; below "
        "it falls with the square, as that of a broken sensor does; null = as it is",
    )
    class_mix: bool = Field(
        True, description="expect of a site's modalities what its mix of classes lets expect (indirect standardisation)"
    )
    shrink_rows: float = Field(
        30.0, ge=0, description="of belief=bound: rows at which a contribution ratio counts half"
    )
    clip_low: float = Field(0.05, gt=0, le=1, description="smallest contribution ratio")
    clip_high: float = Field(
        1.0, ge=1, description="largest contribution ratio; 1 = a broken sensor counts less, an easy site not more"
    )
    whole_model: bool = Field(False, description="every site trains and returns every component (plain FedAvg)")
    magnitude_limit: float = Field(1e4, gt=0, description="a reply with a larger absolute value is set aside")
    robust: RobustConfig = RobustConfig.model_validate({})
    claims: ClaimsConfig = ClaimsConfig.model_validate({})


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

    name: Literal["inprocess", "flower", "deployed"] = Field(
        "inprocess", description="deployed: between real sites, started by `fedmce server up` alone"
    )
    cpus_per_site: int = Field(1, ge=1, description="engine flower: CPUs that Ray reserves for a site")
    gpus_per_site: float = Field(0.0, ge=0, description="engine flower: share of a GPU that Ray reserves for a site")
    timeout_s: float = Field(3600.0, gt=0, description="engine flower: longest wait for the run")


class RunConfig(Section):
    """Everything that decides a run."""

    method: str = Field(
        "fedmce", pattern=r"^[a-z0-9_]+$", description="preset that set objective, model and aggregation"
    )
    protocol: str = Field(
        "none", pattern=r"^[a-z0-9_]+$", description="preset that set data set, partition, quality and missingness"
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
    scope: Literal["sites", "pooled"] = Field(
        "sites", description="pooled: one site holds the rows of all, under the same masks (the centralised bound)"
    )
    partition: PartitionConfig
    quality: QualityConfig
    missingness: MissingnessConfig
    model: ModelConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    aggregation: AggregationConfig
    contributions: ContributionsConfig
    exchange: ExchangeConfig = ExchangeConfig.model_validate({})
    privacy: PrivacyConfig = PrivacyConfig.model_validate({})
    engine: EngineConfig

    @property
    def is_personal(self) -> bool:
        """Sites end with models of their own, which only they can score."""
        told = self.aggregation
        return bool(told.private) or told.rule != "mean" or told.finetune_epochs > 0

    @property
    def scores_at_sites(self) -> bool:
        """Test rows are scored where they lie: sites end with own models, or floors or places keep rows from the server.

        On folders with floors this holds for a simulation too, so that it reports what a run between sites would.
        """
        own = isinstance(self.dataset, FoldersConfig) and (self.dataset.path is None or not self.privacy.is_open)
        return self.is_personal or own

    @model_validator(mode="after")
    def _agree(self) -> RunConfig:
        for problem in server_problems(self):
            raise ValueError(problem)
        for problem in central_problems(self):
            raise ValueError(problem)
        for problem in baseline_problems(self):
            raise ValueError(problem)
        for problem in privacy_problems(self):
            raise ValueError(problem)
        return self

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; the form that travels and is hashed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def fingerprint(self) -> str:
        """sha256 of what decides the numbers: all but name, places, order of sites and engine."""
        tree: dict[str, Any] = self.model_dump(mode="json", exclude={"name", "out", "data_dir", "engine", "sites"})
        tree["sites"] = sorted(self.sites) if self.sites is not None else None
        del tree["exchange"]["commit_every"]
        if self.dataset.name == "folders":
            del tree["dataset"]["path"]  # a place, as data_dir is
        return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
