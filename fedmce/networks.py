"""The network that a configuration asks for on a data set."""

from __future__ import annotations

from fedmce.config.schema import RunConfig
from fedmce.data.dataset import FederatedDataset
from fedmce.models.spec import NetworkSpec, network_spec


def spec_for(dataset: FederatedDataset, config: RunConfig) -> NetworkSpec:
    """Heads and completion heads exist only where the objective trains them."""
    objective = config.objective
    return network_spec(
        dataset,
        config.model,
        needs_heads=objective.uses_heads,
        needs_completion=objective.completes,
        completion_target=getattr(objective, "completion_target", "token"),
        use_completion=getattr(objective, "use_completion", "off"),
    )
