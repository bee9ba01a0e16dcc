"""Where tensors live: the device that the configuration names."""

from __future__ import annotations

import torch

from fedmce.errors import ConfigError


def pick_device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one; a named device that is not there is refused."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"training.device={wanted}: torch sees no CUDA device here; use cpu or auto")
    return torch.device(wanted)
