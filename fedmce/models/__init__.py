"""Networks made of named components."""

from fedmce.models.components import (
    State,
    component_of,
    components,
    load_state,
    modality_of,
    private_keys,
    select,
    state_of,
    trained_rows,
)
from fedmce.models.inference import logits_with_completion
from fedmce.models.network import Batch, MultimodalNet
from fedmce.models.spec import NetworkSpec, network_spec
from fedmce.models.statistics import FeatureSums, Statistics, feature_sums, normalise, pool

__all__ = [
    "Batch",
    "FeatureSums",
    "MultimodalNet",
    "NetworkSpec",
    "State",
    "Statistics",
    "component_of",
    "components",
    "feature_sums",
    "load_state",
    "logits_with_completion",
    "modality_of",
    "network_spec",
    "normalise",
    "pool",
    "private_keys",
    "select",
    "state_of",
    "trained_rows",
]
