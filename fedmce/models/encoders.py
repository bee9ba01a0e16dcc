"""Encoders: one sample of a modality -> one token. Small on purpose; sites are CPUs as often as not.

An encoder sees samples that are there and nothing else, so batch normalisation (off by default) measures them alone;
of a modality that is zero-filled its statistics would encode the missing rate of a site.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from fedmce.models.normalisation import normalised
from fedmce.registry import registrar

Builder = Callable[[tuple[int, ...], int, str], nn.Module]
ENCODERS: dict[str, Builder] = {}
# shape of a sample, width, normalisation of hidden layers -> module (rows, *shape) -> (rows, width)
encoder = registrar(ENCODERS, "encoder")


class ConvEncoder(nn.Module):
    """Two 3 x 3 convolutions (8, 16 channels), each with ReLU and pooling by 2, then a linear token."""

    def __init__(self, shape: tuple[int, ...], width: int, normalisation: str = "none") -> None:
        super().__init__()
        channels, height, breadth = shape
        self.conv1 = nn.Conv2d(channels, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.norm1, self.norm2 = (nn.Sequential(*normalised(normalisation, n)) for n in (8, 16))
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(16 * (height // 4) * (breadth // 4), width)

    def forward(self, x: Tensor) -> Tensor:
        """``(rows, channels, height, width)`` -> ``(rows, token)``."""
        x = self.pool(self.norm1(self.conv1(x)).relu())
        x = self.pool(self.norm2(self.conv2(x)).relu())
        return self.out(x.flatten(1)).relu()  # type: ignore[no-any-return]


@encoder("conv_image")
def conv_image(shape: tuple[int, ...], width: int, normalisation: str = "none") -> nn.Module:
    """Convolutions over height and width of an image."""
    return ConvEncoder(shape, width, normalisation)


@encoder("conv_spectrogram")
def conv_spectrogram(shape: tuple[int, ...], width: int, normalisation: str = "none") -> nn.Module:
    """Convolutions over bands and frames of a spectrogram."""
    return ConvEncoder(shape, width, normalisation)


@encoder("conv_series")
def conv_series(shape: tuple[int, ...], width: int, normalisation: str = "none") -> nn.Module:
    """Two 1-D convolutions (kernel 5; 8, 16 channels), pooled by 4, over the steps of a series."""
    channels, steps = shape
    return nn.Sequential(
        nn.Conv1d(channels, 8, 5, padding=2),
        *normalised(normalisation, 8),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(8, 16, 5, padding=2),
        *normalised(normalisation, 16),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Flatten(),
        nn.Linear(16 * (steps // 16), width),
        nn.ReLU(),
    )


@encoder("mlp")
def mlp(shape: tuple[int, ...], width: int, normalisation: str = "none") -> nn.Module:
    """One hidden layer of ``2 * width`` units."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 2 * width),
        *normalised(normalisation, 2 * width),
        nn.ReLU(),
        nn.Linear(2 * width, width),
        nn.ReLU(),
    )
