"""The network of the measured tables: Linear(64, 32), ReLU, Linear(32, 10), trained by plain full-batch steps.

In numpy, since it is trained some thousand times; plain steps are the worst case, their sum is the gradient itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.models import State
from fedmce.privacy.probe.digits import CLASSES, SIDE

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
HIDDEN = 32
NAMES = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")
Net = list[Floats]


def new_net(draw: np.random.Generator) -> Net:
    """Initial values as torch draws them: uniform within the inverse root of the inputs."""
    inputs = SIDE * SIDE
    shapes = ((HIDDEN, inputs), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
    bounds = (inputs**-0.5, inputs**-0.5, HIDDEN**-0.5, HIDDEN**-0.5)
    return [draw.uniform(-bound, bound, shape) for bound, shape in zip(bounds, shapes, strict=True)]


def losses(net: Net, x: Floats, y: Labels) -> Floats:
    """Cross entropy per row ``(rows,)``."""
    _, _, logits = _forward(net, x)
    found: Floats = -_log_softmax(logits)[np.arange(len(y)), y]
    return found


def accuracy(net: Net, x: Floats, y: Labels) -> float:
    """Share of rows that are answered right."""
    return float((_forward(net, x)[2].argmax(axis=1) == y).mean())


def trained(net: Net, x: Floats, y: Labels, steps: int, lr: float) -> Net:
    """The net after plain steps on all rows at once."""
    found = [part.copy() for part in net]
    for _ in range(steps):
        hidden, active, logits = _forward(found, x)
        d_logits = np.exp(_log_softmax(logits))
        d_logits[np.arange(len(y)), y] -= 1.0
        d_logits /= len(y)
        d_hidden = (d_logits @ found[2]) * (hidden > 0)
        gradient = (d_hidden.T @ x, d_hidden.sum(axis=0), d_logits.T @ active, d_logits.sum(axis=0))
        for part, slope in zip(found, gradient, strict=True):
            part -= lr * slope
    return found


def state_of_net(net: Net) -> State:
    """The net as a component, for the code that adds noise."""
    return {f"probe/{name}": part.astype(np.float32) for name, part in zip(NAMES, net, strict=True)}


def net_of_state(state: State) -> Net:
    """Inverse of :func:`state_of_net`."""
    return [state[f"probe/{name}"].astype(np.float64) for name in NAMES]


def _forward(net: Net, x: Floats) -> tuple[Floats, Floats, Floats]:
    hidden = x @ net[0].T + net[1]
    active = np.maximum(hidden, 0.0)
    return hidden, active, active @ net[2].T + net[3]


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
