"""Memory of an MCE step against a plain step: the peak of live bytes that the step adds to what is there before.

Every allocation and release of torch's CPU allocator is recorded by torch's profiler with its size, scratch
space within an operation included; their running sum over time has its peak somewhere in the step. Before
it, parameters, gradients' places, optimiser state and the site's rows exist already: they are the same for both
kinds of step and would only hide a difference. What numpy plans (pairs of rows and subsets) is counted by
tracemalloc in a step of its own and added as if both peaks met, which is an upper bound.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
from torch.profiler import ProfilerActivity, profile

from benchmarks.row import Figure
from benchmarks.site import SHAPE, BenchSite, make_site
from fedmce.config.schema import MceConfig, TaskObjectiveConfig, TrainingConfig
from fedmce.training.local import make_optimiser

BATCH, MODALITIES, GOAL = 128, 4, 2.0
TINY = (1, 8, 8)  # encoders that hold next to nothing, so that what MCE holds shows


def torch_peak(work: Callable[[], object]) -> int:
    """Peak of the bytes that torch holds on the CPU while the work runs, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return int(np.cumsum([size for _, size in changes]).max(initial=0))


def python_peak(work: Callable[[], object]) -> int:
    """Peak of the bytes that Python and numpy hold while the work runs, above what they held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return max(tracemalloc.get_traced_memory()[1] - before, 0)
    finally:
        tracemalloc.stop()


def step_of(site: BenchSite, config: MceConfig | TaskObjectiveConfig) -> Callable[[], object]:
    """One training step on the first batch of a site, with its state from two steps before."""
    net, objective = site.network().train(), site.objective(config)
    optimiser = make_optimiser(net, TrainingConfig(), 1e-3)

    def step() -> None:
        batch, available = site.rows.batch(np.arange(BATCH))
        optimiser.zero_grad(set_to_none=True)
        objective(net, batch, available).total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    step(), step()
    # Gradients of the step before would be released within the measured one.
    optimiser.zero_grad(set_to_none=True)
    return step


def step_peak(site: BenchSite, config: MceConfig | TaskObjectiveConfig) -> int:
    """Peak of a step in bytes."""
    return torch_peak(step_of(site, config)) + python_peak(step_of(site, config))


def memory_ratio() -> list[Figure]:
    """Peak of an MCE step / peak of a plain step, B = 128, M = 4, small conv encoders, 30 % missing."""
    found = []
    for shape in (SHAPE, TINY):
        site = make_site(MODALITIES, BATCH, shape=shape)
        name = f"memory of MCE step / plain step, {MODALITIES} modalities, {shape[1]} x {shape[2]} images"
        ratio = step_peak(site, MceConfig()) / step_peak(site, TaskObjectiveConfig())
        found.append(Figure(name, ratio, "ratio", GOAL))
    return found
