"""``ogm_ge``: the encoder of a modality that dominates a batch is held back (OGM-GE).

Peng, Wei, Deng, Wang, Hu: "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022, eqs. 5-10:
s_m = sum over rows of softmax(u_m) at the row's class, rho_m = s_m / s_other, k_m = 1 - tanh(alpha rho_m) if rho_m
> 1 and 1 otherwise; after the backward pass g <- k_m g + N(0, std(g)^2) on the weights of encoder m.

u_m are logits per modality whose sum is the prediction: the paper has one linear layer on the concatenation, here
``model.fusion=additive`` is that layer cut by modality. Fusions that contain the heads' logits besides others
(residual, late) work too; fusions that do not would leave the heads untrained and are refused.

Differences: for more than two modalities, where public extensions disagree, rho_m is the mean of s_m / s_j over the
others j, each ratio over the rows that hold both, if two or more do; a modality that is compared with nothing has
k = 1 and no noise. All weights with two axes or more are modulated, not convolutions alone, which would leave other
encoders out without a word. All rounds are modulated. Needs SGD: Adam divides every factor out again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.baselines import OgmGeConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Even, Loss, SiteFacts, full_precision, objective, to_device

LEAST_ROWS = 2  # that hold both modalities, for a ratio to be believed


def modulation(
    probability_bm: Tensor, available_bm: Tensor, alpha: float, least_rows: int = LEAST_ROWS
) -> tuple[Tensor, Tensor]:
    """k_m and whether m was compared with anything, both ``(modalities,)``.

    Args:
        probability_bm: of the row's class by each modality alone, ``(rows, modalities)``; anything where absent.
        available_bm: bool ``(rows, modalities)``.
        alpha: strength.
        least_rows: rows that must hold both of a pair.
    """
    has = available_bm.to(probability_bm.dtype)
    score_mj = torch.where(available_bm, probability_bm, 0.0).T @ has  # of m, over the rows that also hold j
    rows_mj = has.T @ has
    itself = torch.eye(len(rows_mj), dtype=torch.bool, device=rows_mj.device)
    compared = (rows_mj >= least_rows) & ~itself
    # A probability that underflowed to 0 must not make the ratio infinite.
    ratio = score_mj / score_mj.T.clamp(min=torch.finfo(score_mj.dtype).tiny)
    count = compared.sum(dim=1)
    rho = torch.where(compared, ratio, 0.0).sum(dim=1) / count.clamp(min=1)
    factor = torch.where(rho > 1, 1 - torch.tanh(alpha * rho), torch.ones_like(rho))
    return factor, count > 0


class OgmGe(Even):
    """Task loss; gradients of encoders are changed before each step.

    Args:
        config: strength and noise.
        generator: seeds the noise.
    """

    def __init__(self, config: OgmGeConfig, generator: np.random.Generator) -> None:
        self._config = config
        self._seed = int(generator.integers(2**63))
        self._noise: torch.Generator | None = None
        self._factor: Tensor | None = None
        self._compared: Tensor | None = None

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch; what its modalities score decides how its gradients are changed."""
        device = batch.targets.device
        member_bm = to_device(available, device)
        token_bmd = net.encode(batch)
        unimodal_bmc = net.unimodal(token_bmd, batch.values)
        assert unimodal_bmc is not None
        row_b = torch.arange(batch.rows, device=device)
        logits = net.fuse(token_bmd, row_b, member_bm, unimodal_bmc, batch.values)
        loss = F.cross_entropy(full_precision(logits), batch.targets)
        right_bm = full_precision(unimodal_bmc.detach()).softmax(dim=2)[row_b, :, batch.targets]
        self._factor, self._compared = modulation(right_bm, member_bm, self._config.alpha)
        return Loss(loss, {"task": loss.detach()})

    def after_backward(self, net: MultimodalNet) -> None:
        """g <- k_m g + noise N(0, std(g)^2), std of the gradient as it came."""
        assert self._factor is not None
        assert self._compared is not None
        for column, name in enumerate(net.spec.names):
            if name not in net.encoder:
                continue
            for weight in net.encoder[name].parameters():
                if weight.grad is not None and weight.dim() >= 2:
                    weight.grad = self._changed(weight.grad, self._factor[column], self._compared[column])

    def _changed(self, gradient: Tensor, factor: Tensor, compared: Tensor) -> Tensor:
        scaled = gradient * factor.to(gradient.dtype)
        if self._config.noise == 0 or gradient.numel() < 2:
            return scaled
        if self._noise is None:
            self._noise = torch.Generator(gradient.device).manual_seed(self._seed)
        drawn = torch.randn(gradient.shape, generator=self._noise, device=gradient.device, dtype=gradient.dtype)
        return scaled + torch.where(compared, self._config.noise * gradient.std(), 0.0) * drawn


@objective("ogm_ge")
def ogm_ge(config: OgmGeConfig, facts: SiteFacts, generator: np.random.Generator) -> OgmGe:
    """The task loss with gradient modulation."""
    return OgmGe(config, generator)
