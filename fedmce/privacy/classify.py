"""What first sees raw inputs in each component: a dense layer gives rows away, a convolution over places does not.

The gradient of a dense first layer's unit is a mean of the rows that the unit answered to; the bias next to it says
how many. A convolution adds up many places of every row in one weight.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from fedmce.models import MultimodalNet, NetworkSpec, components, state_of

FirstLayer = Literal["none", "dense", "convolution", "embedding"]
ELEMENTWISE = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU, _BatchNorm)


@lru_cache(maxsize=16)
def first_layers(spec: NetworkSpec) -> dict[str, FirstLayer]:
    """First layer of every component that sees raw inputs, ``none`` for those that see tokens.

    Args:
        spec: the whole network.
    """
    net = MultimodalNet(spec)
    found: dict[str, FirstLayer] = dict.fromkeys(components(state_of(net)), "none")
    for modality in spec.modalities:
        found[f"encoder.{modality.name}"] = first_layer(net.encoder[modality.name], modality.shape)
    return found


def first_layer(encoder: nn.Module, shape: tuple[int, ...]) -> FirstLayer:
    """What the inputs of an encoder meet first; whatever is not known to be harmless counts as dense.

    Args:
        encoder: ``(rows, *shape)`` -> ``(rows, width)``.
        shape: of a sample.
    """
    met: list[tuple[nn.Module, torch.Size]] = []
    hooks = [
        module.register_forward_pre_hook(lambda m, given: met.append((m, given[0].shape)))
        for module in encoder.modules()
        if next(module.parameters(recurse=False), None) is not None and not isinstance(module, ELEMENTWISE)
    ]
    was_training = encoder.training
    try:
        with torch.no_grad():
            encoder.eval()(torch.zeros(2, *shape))
    except (RuntimeError, TypeError, IndexError):  # an embedding takes no floats; it was met all the same
        pass
    finally:
        encoder.train(was_training)
        for hook in hooks:
            hook.remove()
    return _kind(*met[0]) if met else "dense"


def _kind(module: nn.Module, given: torch.Size) -> FirstLayer:
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if isinstance(module, _ConvNd) and not isinstance(module, nn.modules.conv._ConvTransposeNd):
        # A kernel that covers the whole input once is a dense layer by another name.
        places = [(n + 2 * int(p)) - k for n, k, p in zip(given[2:], module.kernel_size, _padding(module), strict=True)]
        return "convolution" if any(left > 0 for left in places) else "dense"
    return "dense"


def _padding(module: _ConvNd) -> tuple[int, ...]:
    if isinstance(module.padding, str):
        return tuple(k // 2 for k in module.kernel_size) if module.padding == "same" else (0,) * len(module.kernel_size)
    return tuple(int(p) for p in module.padding)
