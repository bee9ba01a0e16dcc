"""Networks made of named components."""

from fedmce.models.components import (
    State,
    component_of,
    components,
    load_state,
    modality_of,
    parameters_of,
    private_keys,
    select,
    state_of,
    trained_rows,
)
from fedmce.models.inference import logits_with_completion
from fedmce.models.network import Batch, MultimodalNet
from fedmce.models.spec import NetworkSpec, network_spec
from fedmce.models.statistics import (
    EntrySums,
    FeatureSums,
    Statistics,
    blank_sample,
    entry_sums,
    feature_sums,
    normalise,
    pool,
)

__all__ = [
    "Batch",
    "EntrySums",
    "FeatureSums",
    "MultimodalNet",
    "NetworkSpec",
    "State",
    "Statistics",
    "blank_sample",
    "component_of",
    "components",
    "entry_sums",
    "feature_sums",
    "load_state",
    "logits_with_completion",
    "modality_of",
    "network_spec",
    "normalise",
    "parameters_of",
    "pool",
    "private_keys",
    "select",
    "state_of",
    "trained_rows",
]
