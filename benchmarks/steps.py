"""Cost of an MCE step against a plain multimodal step with the same encoders, in one process.

A full step is task + LCE (gap) + all subsets + completion, as the defaults of ``objective=mce`` have it; a
plain step is the task loss of the fused prediction alone. Both are a local training on the same rows and
network: taking batches, forward, backward and optimiser.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from benchmarks.repeats import median_ratio
from benchmarks.row import Figure
from benchmarks.site import BenchSite, make_site
from fedmce.config.schema import MceConfig, TaskObjectiveConfig, TrainingConfig
from fedmce.models import MultimodalNet
from fedmce.training import train_locally

ROWS, BATCH = 512, 128
GOALS = {2: 1.4, 3: 1.4, 4: 1.8, 6: 3.0}
GPU_GOAL = 1.3
# Images of 8 x 8 cost the encoders next to nothing, so nearly all of what MCE adds shows.
TINY, TINY_GOAL = (1, 8, 8), 2.0
# What a user can switch on; held to the goal of the defaults at three modalities.
VARIANTS = {
    "capability=shapley": MceConfig(capability="shapley"),
    "train_through=1": MceConfig(train_through=1.0),
}


def _train(net: MultimodalNet, site: BenchSite, config: MceConfig | TaskObjectiveConfig) -> None:
    training = TrainingConfig(local_epochs=1, batch_size=BATCH)
    train_locally(net, site.rows, site.objective(config), training, lr=1e-3, order=np.random.default_rng(0))


def step_ratio() -> list[Figure]:
    """MCE step / plain step, B = 128, small conv encoders on 28 x 28 images, 30 % missing."""
    found = []
    for modalities, goal in GOALS.items():
        site = make_site(modalities, ROWS)
        net = site.network()
        plain = partial(_train, net, site, TaskObjectiveConfig())
        name = f"MCE step / plain step, {modalities} modalities"
        found.append(Figure(name, median_ratio(partial(_train, net, site, MceConfig()), plain), "ratio", goal))
        if modalities == 3:
            found += [
                Figure(f"{name}, {variant}", median_ratio(partial(_train, net, site, config), plain), "ratio", goal)
                for variant, config in VARIANTS.items()
            ]
            found.append(_on_tiny_images(modalities))
    return found


def _on_tiny_images(modalities: int) -> Figure:
    site = make_site(modalities, ROWS, shape=TINY)
    net = site.network()
    full, plain = (partial(_train, net, site, config) for config in (MceConfig(), TaskObjectiveConfig()))
    name = f"MCE step / plain step, {modalities} modalities, 8 x 8 images"
    return Figure(name, median_ratio(full, plain), "ratio", TINY_GOAL)


def gpu_step_ratio() -> list[Figure]:
    """The same for three modalities on a GPU, by wall time; nothing where there is none.

    A local training ends by reading its losses, so the clock stops when the device is done.
    """
    if not torch.cuda.is_available():
        return []
    site = make_site(3, 8 * ROWS, device="cuda")
    net = site.network()
    full, plain = (partial(_train, net, site, config) for config in (MceConfig(), TaskObjectiveConfig()))
    ratio = median_ratio(full, plain, clock=time.perf_counter)
    return [Figure("MCE step / plain step, 3 modalities, GPU", ratio, "ratio", GPU_GOAL)]
