"""``prox``: the task loss and a pull to the received model (FedProx).

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: "Federated Optimization in Heterogeneous Networks", MLSys 2020, eq. 2:
L = L_task + mu / 2 sum over components c that the site holds of |y_c - x_c|^2, x as received, y while it trains.
Buffers (statistics of batch normalisation) are no parameters and are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.config.baselines import ProxConfig
from fedmce.models import Batch, MultimodalNet, component_of, parameters_of
from fedmce.objectives.objective import Even, Loss, SiteFacts, objective
from fedmce.objectives.task import fused_task_loss


class ProxObjective(Even):
    """Task loss plus the proximal term over what has been trained so far.

    A component that no step has touched is where it was received: its term is 0 and so is its gradient. It is
    left out, so that it gets no gradient instead of a zero one, on which weight decay would still move it.

    Args:
        mu: weight.
        received: the state that the training started from.
    """

    def __init__(self, mu: float, facts: SiteFacts) -> None:
        self._mu, self._received = mu, facts.received
        self._start: dict[str, Tensor] = {}
        self._touched: set[str] = set()

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        task = fused_task_loss(net, batch, available)
        if self._mu == 0 or not self._touched:
            return task
        half = 0.5 * self._mu * self._distance(net)
        return Loss(task.total + half, task.parts | {"prox": half.detach()})

    def after_backward(self, net: MultimodalNet) -> None:
        """Note which components train; gradients stay."""
        self._touched |= {component_of(k) for k, p in parameters_of(net).items() if p.grad is not None}

    def _distance(self, net: MultimodalNet) -> Tensor:
        """Sum of squared differences, a scalar."""
        own = {k: p for k, p in parameters_of(net).items() if component_of(k) in self._touched}
        for key, parameter in own.items():
            if key not in self._start:
                self._start[key] = torch.from_numpy(self._received[key].copy()).to(parameter)
        # Squares, not a norm: that one has no gradient where both are equal.
        return torch.stack([(p - self._start[key]).square().sum() for key, p in own.items()]).sum()


@objective("prox")
def prox(config: ProxConfig, facts: SiteFacts, generator: np.random.Generator) -> ProxObjective:
    """The task loss with a proximal term."""
    return ProxObjective(config.mu, facts)
