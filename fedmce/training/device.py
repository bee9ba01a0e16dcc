"""Where tensors live: the device that the configuration names."""

from __future__ import annotations

import os
import shutil

import torch

from fedmce.errors import ConfigError, DeviceError
from fedmce.models import MultimodalNet

COMPILERS = tuple(dict.fromkeys(filter(None, (os.environ.get("CXX"), "g++", "clang++"))))


def pick_device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one; a named device that is not there is refused."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"training.device={wanted}: torch sees no CUDA device here; use cpu or auto")
    return torch.device(wanted)


def compiled(net: MultimodalNet) -> MultimodalNet:
    """The network with encoders and fusion compiled in place, for sizes that change from batch to batch.

    Names of parameters stay. The first steps of a site are slow.
    """
    for module in (*net.encoder.values(), net.fusion):
        module.compile(dynamic=True)
    return net


def check_compiler(device: str) -> None:
    """Refuse ``training.compile`` on a CPU without a C++ compiler, before a run begins."""
    if pick_device(device).type == "cpu" and not any(map(shutil.which, COMPILERS)):
        raise ConfigError(
            f"training.compile=true: none of {', '.join(COMPILERS)} is installed; torch.compile needs a C++ compiler "
            "on a CPU. install one, or use training.compile=false"
        )
