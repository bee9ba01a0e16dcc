"""Components: the units of aggregation, and how a network's state splits into them.

``encoder.m``, ``projection.m``, ``head.m`` and ``completion.m`` belong to modality m, ``fusion`` to all.
A state is a flat dict ``<component>/<parameter> -> float32 array``, the form that travels and is saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fedmce.errors import ConfigError

State = dict[str, npt.NDArray[np.float32]]
PER_MODALITY = ("encoder", "projection", "head", "completion")


def component_of(key: str) -> str:
    """``encoder.audio`` of ``encoder.audio/out.weight``."""
    return key.partition("/")[0]


def modality_of(component: str) -> str | None:
    """``audio`` of ``encoder.audio``; None of ``fusion``."""
    _, dot, modality = component.partition(".")
    return modality if dot else None


def state_key(name: str) -> str:
    """``encoder.audio/out.weight``, the key of a state, from torch's name ``encoder.audio.out.weight``."""
    parts = name.split(".")
    size = 2 if parts[0] in PER_MODALITY else 1
    return ".".join(parts[:size]) + "/" + ".".join(parts[size:])


def parameters_of(net: nn.Module) -> dict[str, nn.Parameter]:
    """The network's own parameters by the keys of a state; buffers are left out."""
    return {state_key(name): parameter for name, parameter in net.named_parameters()}


def check_components(net: nn.Module) -> None:
    """Hold every parameter to one component and one name, without which it would be lost or averaged twice.

    Raises:
        ConfigError: a parameter belongs to no component, to two, or has the name of another.
    """
    owner: dict[int, str] = {}
    keys: set[str] = set()
    for name, parameter in net.named_parameters(remove_duplicate=False):
        key = state_key(name)
        component = component_of(key)
        if component.partition(".")[0] not in (*PER_MODALITY, "fusion") or key.endswith("/"):
            raise ConfigError(
                f"model: parameter {name!r} belongs to no component; needed one below {', '.join(PER_MODALITY)} "
                "or fusion. make it part of an encoder or of the fusion"
            )
        if key in keys:
            raise ConfigError(f"model: two parameters have the name {key!r}; needed one each. rename one")
        if (other := owner.setdefault(id(parameter), component)) != component:
            raise ConfigError(
                f"model: parameter {name!r} of {component} is also one of {other}; needed its own in each component, "
                "since they have other holders. build the module anew for each"
            )
        keys.add(key)


def state_of(net: nn.Module) -> State:
    """The network's parameters and buffers as a flat state; arrays are copies."""
    return {
        state_key(name): value.detach().to("cpu", torch.float32).numpy().copy()
        for name, value in net.state_dict().items()
    }


def load_state(net: nn.Module, state: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Put a state into a network. Raises ``RuntimeError`` (torch) if keys or shapes differ."""
    net.load_state_dict({key.replace("/", ".", 1): torch.from_numpy(np.array(value)) for key, value in state.items()})


def components(state: Iterable[str]) -> list[str]:
    """Sorted component names of a state."""
    return sorted({component_of(key) for key in state})


def select(state: Mapping[str, npt.NDArray[np.float32]], wanted: Iterable[str]) -> State:
    """The part of a state that belongs to the wanted components."""
    names = set(wanted)
    return {key: value for key, value in state.items() if component_of(key) in names}


def trained_rows(available: npt.NDArray[np.bool_], modalities: Iterable[str], names: Iterable[str]) -> dict[str, int]:
    """Rows that can train each component at a site (method.md 4).

    Args:
        available: bool ``(rows, modalities)`` of the site's training rows.
        modalities: column names.
        names: components to count for.

    Returns:
        component -> rows: those that hold m; for ``completion.m`` those that hold m and another; for
        ``fusion`` all.
    """
    column = {name: available[:, i] for i, name in enumerate(modalities)}
    several = available.sum(axis=1) > 1
    counts = {}
    for name in names:
        modality = modality_of(name)
        rows = np.ones(len(available), dtype=bool) if modality is None else column[modality]
        counts[name] = int((rows & several).sum() if name.startswith("completion.") else rows.sum())
    return counts


def private_keys(net: nn.Module, kinds: Iterable[str]) -> frozenset[str]:
    """Keys of a network's state that never leave a site.

    Args:
        net: the whole network.
        kinds: kinds of components (``encoder``, ``head``, ``fusion``, ...), or ``normalisation``: parameters and
            running statistics of batch normalisation, found by the type of the module (its name says nothing).
    """
    wanted = set(kinds)
    found = {key for key in state_of(net) if component_of(key).partition(".")[0] in wanted}
    if "normalisation" in wanted:
        layers = tuple(f"{name}." for name, module in net.named_modules() if isinstance(module, _BatchNorm))
        found |= {key for key in state_of(net) if layers and key.replace("/", ".", 1).startswith(layers)}
    return frozenset(found)
