"""What a local objective is, what it knows of its site, and the registry of objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, load_state
from fedmce.registry import registrar

Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Loss:
    """Loss of one batch: the scalar to minimise and its named parts (detached scalars)."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class SiteFacts:
    """What an objective may know before it sees a batch.

    Attributes:
        modalities: names in data set order.
        rows: training rows of the site, N_k.
        rows_by_modality: of these, rows that hold m: n_km.
        all_rows: training rows of all sites, sum N_k, from the profile round.
        all_rows_by_modality: sum over sites of n_km.
        lack: per modality, what capability B_m starts from: its mean shortfall on the received model. A
            modality that the site lacks may be left out.
        class_rows: training rows of the site per class: behind v(nothing) of its Shapley values.
        reference: values u_im of the frozen unimodal reference, ``(rows of the site, modalities)``; None if
            the reference is the running model.
        warming: this is a warm-up round of the frozen reference.
        round: 1-based.
        held: modalities whose components the site works on.
        received: the state that the local training starts from.
        shared: what the server sent beside the model (:mod:`fedmce.objectives.shared`).
        memory: arrays that the site keeps from round to round; an objective may write to it.
        spec: the whole network.
        learning_rate: step size of this round.
        rounds: of the whole run.
    """

    modalities: tuple[str, ...]
    rows: int
    rows_by_modality: dict[str, int]
    all_rows: int
    all_rows_by_modality: dict[str, int]
    lack: dict[str, float]
    class_rows: tuple[int, ...] = (1, 1)
    reference: npt.NDArray[np.float32] | None = None
    warming: bool = False
    round: int = 1
    held: tuple[str, ...] = ()
    received: State = field(default_factory=dict)
    shared: Arrays = field(default_factory=dict)
    memory: Arrays = field(default_factory=dict)
    spec: NetworkSpec | None = None
    learning_rate: float = 0.0
    rounds: int = 1

    def received_net(self, device: torch.device) -> MultimodalNet:
        """A copy of the network as received, in evaluation mode, without gradients."""
        assert self.spec is not None, "the site did not say what the network is"
        net = MultimodalNet(self.spec, self.held).to(device)
        load_state(net, self.received)
        return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class Emphasis:
    """How much more a modality gets than the best-equipped one (method.md 2.2); 1 where it is left out.

    Attributes:
        step: multiple of the step size of the modality's encoder and head.
        rows: passes over the rows that hold the modality, per local epoch.
    """

    step: dict[str, float] = field(default_factory=dict)
    rows: dict[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """Callable that turns a batch into a loss; may carry running quantities of one local training."""

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of a batch whose availability is bool ``(rows, modalities)`` (on the CPU)."""
        ...

    def emphasis(self) -> Emphasis:
        """What the next local epoch shall emphasise; read once per epoch."""
        ...

    def after_backward(self, net: MultimodalNet) -> None:
        """Change gradients before the step; called once per step."""
        ...

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """What the server shall get beside the update; called once, after the training.

        Args:
            net: as trained, in evaluation mode, no gradients.
            batches: all training rows of the site, each once, with their availability.
        """
        ...


class Silent:
    """For objectives that leave gradients alone and tell nothing beside the update."""

    def after_backward(self, net: MultimodalNet) -> None:
        """Gradients stay."""

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """Nothing."""
        return {}


class Even(Silent):
    """For objectives that also treat all modalities alike."""

    def emphasis(self) -> Emphasis:
        """Nothing is emphasised."""
        return Emphasis()


def full_precision(value: Tensor) -> Tensor:
    """At least float32, so that losses add up in full precision under AMP; doubles stay doubles."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """A planned array on the device; to a GPU from pinned memory, so that the host does not wait for the copy."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


Factory = Callable[[Any, SiteFacts, np.random.Generator], Objective]
OBJECTIVES: dict[str, Factory] = {}
# its config, facts, generator -> objective for one local training
objective = registrar(OBJECTIVES, "objective")
