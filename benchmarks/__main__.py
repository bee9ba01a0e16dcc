"""``make bench``: measure, print a table, write ``runs/bench.json``; exit 1 if a goal was missed.

``python -m benchmarks memory steps`` measures only what is named, and writes nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OMP_NUM_THREADS"] = "1"

if TYPE_CHECKING:
    from benchmarks.row import Figure


def _suites() -> dict[str, Callable[[], list[Figure]]]:
    # torch reads the number of threads when it is imported, so nothing may import it before it is set.
    from benchmarks.contributions import contribution_cost
    from benchmarks.estimators import estimator_quality
    from benchmarks.gate import gate_cost
    from benchmarks.memory import memory_ratio
    from benchmarks.oracle import oracle_ratio
    from benchmarks.overhead import engine_overhead
    from benchmarks.scaling import step_scaling
    from benchmarks.steps import gpu_step_ratio, step_ratio
    from benchmarks.worker import worker_gain

    return {
        "overhead": engine_overhead,
        "steps": step_ratio,
        "gpu": gpu_step_ratio,
        "oracle": oracle_ratio,
        "contributions": contribution_cost,
        "estimators": estimator_quality,
        "scaling": step_scaling,
        "memory": memory_ratio,
        "gate": gate_cost,
        "worker": worker_gain,
    }


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, or all."""
    import torch

    from benchmarks.row import table

    torch.set_num_threads(1)
    suites = _suites()
    if unknown := set(names) - set(suites):
        print(f"benchmarks: given {' '.join(sorted(unknown))}; there are {' '.join(suites)}", file=sys.stderr)
        return 2
    figures = [figure for name in names or suites for figure in suites[name]()]
    print(table(figures))
    if not names:
        path = Path("runs/bench.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([figure.row() for figure in figures], indent=1) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
