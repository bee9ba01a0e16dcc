"""Batch normalisation that bears a batch of one sample."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class ObservedBatchNorm(_BatchNorm):
    """Batch normalisation over the rows, and the places, of ``(rows, channels, *places)``.

    Rare modalities come in batches of a single sample, of which a vector has no variance. Such a batch is normalised
    with the running statistics, as in evaluation, and leaves them alone. The counter of batches is not kept: nothing
    reads it with a fixed momentum, and averaged over sites it would be no count.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; in training with the statistics of this batch where it has more than one value per channel."""
        training = self.training and x.numel() > x.shape[1]
        momentum = 0.1 if self.momentum is None else self.momentum
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training, momentum, self.eps
        )

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of places."""


def normalised(kind: str, channels: int) -> list[ObservedBatchNorm]:
    """What follows a hidden layer of so many channels: nothing (``none``), or one layer (``batch``)."""
    return [ObservedBatchNorm(channels)] if kind == "batch" else []
