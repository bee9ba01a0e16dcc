"""``fedmsplit``: the task loss and a pull of every component to its plain mean over sites.

The local side of FedMSplit (Chen and Zhang, KDD 2022), rebuilt from a third-party reimplementation:
L = task + lambda sum_b |theta_b - mean_b|^2 without a factor 1/2. Sites start from states of their own
(:mod:`fedmce.aggregation.attention`), so the plain mean travels beside the model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from fedmce.aggregation import is_parameter, weighted_mean
from fedmce.config.schema import FedMSplitConfig
from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, component_of, modality_of, parameters_of, select
from fedmce.objectives.objective import Arrays, Even, Loss, SiteFacts, objective
from fedmce.objectives.shared import Said, Shapes, shared
from fedmce.objectives.task import fused_task_loss


class NearTheMean(Even):
    """Task loss + weight times the squared distance to the plain mean.

    Args:
        weight: lambda.
        facts: ``shared`` holds the means of the parameters that the site works on.
    """

    def __init__(self, weight: float, facts: SiteFacts) -> None:
        self._weight, self._means = weight, facts.shared
        self._anchor: dict[str, torch.Tensor] = {}

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        task = fused_task_loss(net, batch, available)
        if not self._weight:
            return task
        if not self._anchor:
            device = batch.targets.device
            self._anchor = {key: torch.from_numpy(value.copy()).to(device) for key, value in self._means.items()}
        distance = torch.stack([(p - self._anchor[key]).square().sum() for key, p in parameters_of(net).items()]).sum()
        return Loss(task.total + self._weight * distance, task.parts | {"proximal": distance.detach()})


class PlainMeans:
    """The plain mean of every parameter over the sites that trained it last."""

    def initial(self, config: FedMSplitConfig, spec: NetworkSpec, model: State) -> Arrays:
        """The state that all start from."""
        return {key: value for key, value in model.items() if is_parameter(key)}

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """Means of the components that the site works on."""
        return {key: value for key, value in arrays.items() if (modality_of(component_of(key)) or held[0]) in held}

    def told(self, config: FedMSplitConfig, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """Nothing: the updates say it."""
        return {}

    def merge(
        self,
        config: FedMSplitConfig,
        spec: NetworkSpec,
        arrays: Arrays,
        said: Mapping[str, Said],
        holders: Mapping[str, int],
    ) -> Arrays:
        """Means over this round's sites; a component that nobody trained keeps its own."""
        fresh = dict(arrays)
        for component in {component_of(key) for key in arrays}:
            parts = {s: select(r.update, [component]) for s, r in said.items() if r.rows.get(component, 0) > 0}
            if parts:
                mean = weighted_mean(parts, dict.fromkeys(parts, 1.0))
                fresh |= {key: value for key, value in mean.items() if key in arrays}
        return fresh


@objective("fedmsplit")
def fedmsplit(config: FedMSplitConfig, facts: SiteFacts, generator: np.random.Generator) -> NearTheMean:
    """The task objective near the plain mean."""
    return NearTheMean(config.proximal_weight, facts)


shared("fedmsplit")(PlainMeans())
