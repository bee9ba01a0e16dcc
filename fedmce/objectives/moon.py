"""``moon``: states shall resemble those of the received model, and not those of the site's previous one (MOON-like).

Li, He, Song: "Model-Contrastive Federated Learning", CVPR 2021, eq. 3:
l = -log( e^{cos(z, z_g) / T} / (e^{cos(z, z_g) / T} + e^{cos(z, z_p) / T}) ),  L = L_task + mu mean l,
z of the model in training, z_g of the received model, z_p of the site's model at the end of its previous training.

MOON-like: the paper has one representation behind a projection head of its own; here l is taken per component, on
each token that a row holds and on the fused state of everything it holds, without an extra head; per modality and
for the fused state the mean over rows, then the mean of these means. A site that trains for the first time has no
previous model (z_p = z_g, l = log 2, no gradient) and takes the task loss alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines import MoonConfig
from fedmce.models import Batch, MultimodalNet, state_of
from fedmce.objectives.objective import Arrays, Even, Loss, SiteFacts, full_precision, objective, to_device

PREVIOUS = "previous/"


def model_contrast(z: Tensor, z_global: Tensor, z_previous: Tensor, temperature: float) -> Tensor:
    """l per row, ``(rows,)``: softplus((cos(z, z_p) - cos(z, z_g)) / T), which is the equation without 0 / 0.

    Args:
        z: states in training, ``(rows, size)``.
        z_global: of the received model.
        z_previous: of the site's previous model.
        temperature: T.
    """
    nearer = F.cosine_similarity(z, z_previous, dim=1) - F.cosine_similarity(z, z_global, dim=1)
    return F.softplus(nearer / temperature)


class MoonObjective(Even):
    """Three forward passes, two of them without gradient.

    Args:
        config: weight and temperature.
        facts: the received model; what the site remembers of its previous one.
    """

    def __init__(self, config: MoonConfig, facts: SiteFacts) -> None:
        self._config, self._facts = config, facts
        previous = {k.removeprefix(PREVIOUS): v for k, v in facts.memory.items() if k.startswith(PREVIOUS)}
        # A component that the site has met for the first time has no previous state: there z_p = z_g.
        self._previous = {k: previous.get(k, v) for k, v in facts.received.items()} if previous else None
        self._fixed: tuple[MultimodalNet, MultimodalNet] | None = None

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        logits_bc, token_bmd, state_bx = _states(net, batch, available)
        task = F.cross_entropy(full_precision(logits_bc), batch.targets)
        if self._previous is None or self._config.mu == 0:
            return Loss(task, {"task": task.detach()})
        if self._fixed is None:
            before = replace(self._facts, received=self._previous)
            device = batch.targets.device
            self._fixed = (self._facts.received_net(device), before.received_net(device))
        with torch.no_grad():
            (_, token_g, state_g), (_, token_p, state_p) = (_states(one, batch, available) for one in self._fixed)
        terms = [model_contrast(state_bx, state_g, state_p, self._config.temperature).mean()]
        for column in np.flatnonzero(available.any(axis=0)):
            rows = to_device(np.flatnonzero(available[:, column]), batch.targets.device)
            z, z_g, z_p = (token[rows, column] for token in (token_bmd, token_g, token_p))
            terms.append(model_contrast(z, z_g, z_p, self._config.temperature).mean())
        contrast = torch.stack(terms).mean()
        parts = {"task": task.detach(), "contrast": contrast.detach()}
        return Loss(task + self._config.mu * contrast, parts)

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Nothing; the site remembers the model that it ends with."""
        self._facts.memory.update({PREVIOUS + key: value for key, value in state_of(net).items()})
        return {}


def _states(net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> tuple[Tensor, Tensor, Tensor]:
    """Fused logits, tokens and fused states of everything that each row holds."""
    device = batch.targets.device
    token_bmd = net.encode(batch)
    row_b = torch.arange(batch.rows, device=device)
    logits, state = net.fuse_states(token_bmd, row_b, to_device(available, device), present=batch.values)
    return logits, full_precision(token_bmd), full_precision(state)


@objective("moon")
def moon(config: MoonConfig, facts: SiteFacts, generator: np.random.Generator) -> MoonObjective:
    """The task loss with model contrast."""
    return MoonObjective(config, facts)
