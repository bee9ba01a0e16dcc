"""From the mean of a component to its next state: a server step, with memory of its own per component.

Hsu, Qi, Brown 2019 (momentum); Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2 (adam,
yogi; no bias correction there). A component that nobody trained keeps state and memory to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ServerOptimiserConfig

Floats = dict[str, npt.NDArray[np.float32]]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def is_parameter(key: str) -> bool:
    """Whether steps move it; statistics of batch normalisation are averaged alone: a step could turn a variance negative."""
    return key.rpartition("/")[2].rpartition(".")[2] not in STATISTICS


def server_step(
    config: ServerOptimiserConfig,
    old: Mapping[str, npt.NDArray[np.float32]],
    mean: Mapping[str, npt.NDArray[np.float32]],
    memory: Mapping[str, npt.NDArray[np.float32]],
) -> tuple[Floats, Floats]:
    """One step from ``old`` along D = mean - old.

    momentum: u = beta1 u - D, x = x - lr u. adam: m = beta1 m + (1 - beta1) D, v = beta2 v + (1 - beta2) D^2,
    x = x + lr m / (sqrt(v) + tau). yogi: v = v - (1 - beta2) D^2 sign(v - D^2). v starts at tau^2.

    Args:
        config: which step.
        old: the component, parameter -> array.
        mean: its mean over holders, equal keys.
        memory: what the last call returned; empty at first.

    Returns:
        The next state and memory (``m/<key>``, ``v/<key>``), float32; computed in float64.
    """
    if config.name == "none":
        return dict(mean), {}
    state: Floats = {}
    kept: Floats = {}
    for key in mean:
        if not is_parameter(key):
            state[key] = mean[key]
            continue
        x = old[key].astype(np.float64)
        delta = mean[key].astype(np.float64) - x
        m = memory[f"m/{key}"].astype(np.float64) if f"m/{key}" in memory else np.zeros_like(x)
        if config.name == "momentum":
            m = config.beta1 * m - delta
            step = -config.lr * m
        else:
            v = memory[f"v/{key}"].astype(np.float64) if f"v/{key}" in memory else np.full_like(x, config.tau**2)
            m = config.beta1 * m + (1 - config.beta1) * delta
            square = delta * delta
            if config.name == "adam":
                v = config.beta2 * v + (1 - config.beta2) * square
            else:
                v = v - (1 - config.beta2) * square * np.sign(v - square)
            step = config.lr * m / (np.sqrt(v) + config.tau)
            kept[f"v/{key}"] = v.astype(np.float32)
        kept[f"m/{key}"] = m.astype(np.float32)
        state[key] = (x + step).astype(np.float32)
    return state, kept
