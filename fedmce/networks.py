"""The network that a configuration asks for on a data set."""

from __future__ import annotations

from fedmce.config.schema import RunConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.models.spec import NetworkSpec, network_spec


def spec_for(dataset: FederatedDataset, config: RunConfig) -> NetworkSpec:
    """Heads and completion heads exist only where the objective trains them."""
    objective = config.objective
    if objective.name != "mce":
        return network_spec(dataset, config.model, needs_heads=False, needs_completion=False)
    return network_spec(
        dataset,
        config.model,
        needs_heads=True,
        needs_completion=objective.completes,
        completion_target=objective.completion_target,
        use_completion=objective.use_completion,
    )
