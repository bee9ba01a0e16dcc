"""Where tensors live: the device that the configuration names."""

from __future__ import annotations

import torch

from fedmce.errors import ConfigError
from fedmce.models import MultimodalNet


def pick_device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one; a named device that is not there is refused."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"training.device={wanted}: torch sees no CUDA device here; use cpu or auto")
    return torch.device(wanted)


def compiled(net: MultimodalNet) -> MultimodalNet:
    """The network with encoders and fusion compiled in place, for sizes that change from batch to batch.

    Names of parameters stay. Needs a C++ compiler on a CPU, Triton on a GPU; the first steps of a site are slow.
    """
    for module in (*net.encoder.values(), net.fusion):
        module.compile(dynamic=True)
    return net
