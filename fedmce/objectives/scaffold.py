"""``scaffold``: the task loss with gradients corrected for client drift, per component.

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020, algorithm 1 with
option II, over the holders of a component: c is the mean gradient of all holders, c_k that of the site. A local step
goes along g - c_k + c; afterwards

    c_k <- c_k - c + (x - y) / (tau lr),        c <- c + sum_k (change of c_k) / holders.

tau counts the steps in which the parameter had a gradient. A modality that few rows hold has fewer of them than the
site takes steps, and one without any keeps its c_k. Divided by all sites instead of the holders, c would be too
small by the share of holders, and the corrections would no longer cancel over the federation.

The differences read as gradients only after plain steps (no momentum, no decay), which the configuration asks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch

from fedmce.aggregation import is_parameter
from fedmce.config.schema import ScaffoldConfig
from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, component_of, modality_of, parameters_of
from fedmce.objectives.objective import Arrays, Emphasis, Loss, SiteFacts, objective
from fedmce.objectives.shared import Said, Shapes, shared
from fedmce.objectives.task import fused_task_loss


class Scaffold:
    """Task loss; gradients plus c - c_k.

    Args:
        facts: ``shared`` holds c of what the site works on, ``memory`` its c_k (0 where nothing is kept yet).
    """

    def __init__(self, facts: SiteFacts) -> None:
        self._facts = facts
        zeros = {key: np.zeros_like(value) for key, value in facts.shared.items()}
        self._own = {key: facts.memory.get(key, zero) for key, zero in zeros.items()}
        self._steps: Counter[str] = Counter()
        self._correction: dict[str, torch.Tensor] = {}

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        return fused_task_loss(net, batch, available)

    def emphasis(self) -> Emphasis:
        """Nothing is emphasised."""
        return Emphasis()

    def after_backward(self, net: MultimodalNet) -> None:
        """Correct the gradients of parameters that have one; the others are not touched by this step."""
        for key, parameter in parameters_of(net).items():
            if parameter.grad is None:
                continue
            if key not in self._correction:
                change = torch.from_numpy(self._facts.shared[key] - self._own[key])
                self._correction[key] = change.to(parameter.device)
            parameter.grad.add_(self._correction[key])
            self._steps[key] += 1

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Change of each c_k; the site remembers c_k itself."""
        changes = {}
        for key, parameter in parameters_of(net).items():
            own, fresh = self._own[key], self._own[key]
            if steps := self._steps[key]:
                way = self._facts.received[key] - parameter.detach().to("cpu", torch.float32).numpy()
                fresh = own - self._facts.shared[key] + way / np.float32(steps * self._facts.learning_rate)
            self._facts.memory[key] = fresh
            changes[key] = fresh - own
        return changes


class ControlVariates:
    """c of every parameter: it starts at 0 and goes with the mean change of its holders."""

    def initial(self, config: ScaffoldConfig, spec: NetworkSpec, model: State) -> Arrays:
        """Zeros."""
        return {key: np.zeros_like(value) for key, value in model.items() if is_parameter(key)}

    def down(self, arrays: Arrays, held: tuple[str, ...]) -> Arrays:
        """c of the components that the site works on."""
        return {key: value for key, value in arrays.items() if (modality_of(component_of(key)) or held[0]) in held}

    def told(self, config: ScaffoldConfig, spec: NetworkSpec, granted: Mapping[str, tuple[int, ...]]) -> Shapes:
        """One change per parameter that the site returns."""
        return {key: shape for key, shape in granted.items() if is_parameter(key)}

    def merge(
        self,
        config: ScaffoldConfig,
        spec: NetworkSpec,
        arrays: Arrays,
        said: Mapping[str, Said],
        holders: Mapping[str, int],
    ) -> Arrays:
        """c + sum of changes / holders, in float64, sites by name.

        A site whose reply was set aside has moved its c_k all the same; from then on the corrections cancel but for
        that change.
        """
        sums = {key: np.zeros(value.shape, dtype=np.float64) for key, value in arrays.items()}
        for site in sorted(said):
            for key, change in said[site].arrays.items():
                sums[key] += change
        return {
            key: (value + sums[key] / max(holders[component_of(key)], 1)).astype(np.float32)
            for key, value in arrays.items()
        }


@objective("scaffold")
def scaffold(config: ScaffoldConfig, facts: SiteFacts, generator: np.random.Generator) -> Scaffold:
    """The corrected task objective."""
    return Scaffold(facts)


shared("scaffold")(ControlVariates())
