"""How a step grows from 2 to 32 modalities when a row's subsets are sampled at a fixed budget.

B = 128, 8 sampled subsets per row and the full one, 30 % missing. "At most linear" is stated so that neither a
constant nor a short range can hide a square: with times t(M) the cost of a further modality among the many,
(t(32) - t(16)) / 16, over that among the few, (t(16) - t(4)) / 12. It is 1 for every a + b M, 2.4 for a + c M^2,
and below 1.25 only while the square's share is small. M = 2 stays out of it: with two modalities a row has at
most two proper subsets, so the budget of 8 is not spent. The exponent of a straight line through the logarithms is
shown too; a constant lowers it, so it alone would prove little. ``python -m benchmarks.scaling`` prints all times.

Encoders take a time that is linear in M by itself; the second pair of figures leaves them out: their
tokens are there before the clock starts, and the gradient goes as far as the tokens.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from benchmarks.repeats import seconds
from benchmarks.row import Figure
from benchmarks.site import make_site
from fedmce.config.schema import MceConfig, TrainingConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.training.local import make_optimiser

BATCH, BUDGET, REPEATS = 128, 8, 9
SIZES = (2, 4, 8, 16, 32)
FURTHER_GOAL, EXPONENT_GOAL = 1.25, 1.1


class GivenTokens(MultimodalNet):
    """A network whose encoders have run on its only batch."""

    given: Tensor

    def encode(self, batch: Batch) -> Tensor:
        """Tokens ``(rows, modalities, width)``, leaves of the graph."""
        return self.given.detach().requires_grad_()


def step_of(modalities: int, encodes: bool) -> Callable[[], object]:
    """A training step on one batch."""
    site = make_site(modalities, BATCH)
    batch, available = site.rows.batch(np.arange(BATCH))
    net = site.network().train()
    if not encodes:
        with torch.no_grad():
            token = net.encode(batch)
        net = GivenTokens(site.spec).train()
        net.given = token
    objective = site.objective(MceConfig(subsets="sampled", subset_budget=BUDGET))
    optimiser = make_optimiser(net, TrainingConfig(), 1e-3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        objective(net, batch, available).total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def times(encodes: bool, sizes: tuple[int, ...] = SIZES, repeats: int = REPEATS) -> dict[int, float]:
    """Median seconds of a step by number of modalities; the sizes take turns."""
    steps = {m: step_of(m, encodes) for m in sizes}
    for step in steps.values():
        step(), step()
    found: dict[int, list[float]] = {m: [] for m in sizes}
    for _ in range(repeats):
        for m, step in steps.items():
            found[m].append(seconds(step))
    return {m: statistics.median(spent) for m, spent in found.items()}


def further_cost(time: Mapping[int, float]) -> float:
    """Cost of one more modality from 16 to 32 over that from 4 to 16: 1 if linear, 2.4 if square."""
    return (time[32] - time[16]) / 16 / ((time[16] - time[4]) / 12)


def exponent(time: Mapping[int, float]) -> float:
    """Slope of log t over log M by least squares."""
    return float(np.polyfit(np.log(list(time)), np.log(list(time.values())), 1)[0])


def straight_line(time: Mapping[int, float]) -> tuple[float, float, float]:
    """Least squares a + b M: a and b in seconds, and the largest share by which a time is off the line."""
    sizes, spent = np.array(list(time)), np.array(list(time.values()))
    each, constant = np.polyfit(sizes, spent, 1)
    return float(constant), float(each), float(np.abs((constant + each * sizes) / spent - 1).max())


def report() -> str:
    """The times and their straight lines as a table in Markdown."""
    lines = [
        "| | " + " | ".join(f"M = {m}" for m in SIZES) + " | line | off it by at most |",
        "|---|" + "---|" * (len(SIZES) + 2),
    ]
    for encodes, name in ((True, "whole step"), (False, "tokens cached")):
        time = times(encodes)
        constant, each, off = straight_line(time)
        spent = " | ".join(f"{1000 * t:.1f}" for t in time.values())
        lines.append(f"| {name}, ms | {spent} | {1000 * constant:.1f} + {1000 * each:.2f} M | {100 * off:.0f} % |")
    return "\n".join(lines)


def step_scaling() -> list[Figure]:
    """Growth of a step with the number of modalities at a fixed budget, with and without the encoders."""
    found = []
    for encodes, end in ((True, ""), (False, ", tokens cached")):
        time = times(encodes)
        name = f"step time, budget {BUDGET}{end}"
        found += [
            Figure(f"{name}: a further modality of 32 / of 16", further_cost(time), "ratio", FURTHER_GOAL),
            Figure(f"{name}: exponent of M, 2 to 32", exponent(time), "", EXPONENT_GOAL),
        ]
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(report())
