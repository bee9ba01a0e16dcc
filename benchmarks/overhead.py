"""What the in-process engine adds to a round: everything that is neither training nor evaluation."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.row import Figure

ROUNDS = 12
GOAL_MS = 30.0


def engine_overhead() -> list[Figure]:
    """Median over rounds of round time less local training and evaluation, default run, 6 sites."""
    from fedmce._paths import use_app

    use_app()
    from fedmce.cli.compose import load_config
    from fedmce.record import read_record
    from simulations import engines

    with tempfile.TemporaryDirectory() as folder:
        engines.run(load_config([f"rounds={ROUNDS}"]), Path(folder), lambda event: None)
        rounds = [r["timing"] for r in read_record(Path(folder)) if r["event"] == "round"]
    # The first round opens the sites' data and loads what torch loads late.
    spent = [1000 * (t["total_s"] - t["train_s"] - t["evaluate_s"]) for t in rounds[1:]]
    return [Figure("engine overhead per round, inprocess, 6 sites", statistics.median(spent), "ms", GOAL_MS)]
