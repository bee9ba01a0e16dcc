"""What comparisons of runs share: settings, one run, the choice of a step size, paired statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Step sizes are chosen on seeds that no comparison uses.
TUNING_SEEDS = (1000, 1001)
# Test rows are scored after the last round only: what lies between decides nothing and costs time.
LAST_ROUND_ONLY = "evaluate_every=100000"


@dataclass(frozen=True)
class Setting:
    """A data set under a missingness; ``rare`` is the subset whose own score is shown beside the mean."""

    name: str
    overrides: tuple[str, ...]
    rare: str


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Zero lies outside."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def train(overrides: Iterable[str], folder: Path) -> None:
    """Run once in this process and leave the record in ``folder``, which must be new or empty.

    Raises:
        FedMCEError: the configuration was refused or the run failed.
    """
    from fedmce._paths import use_app

    use_app()
    from fedmce.cli.compose import load_config
    from fedmce.config.agreement import check_against
    from fedmce.data import dataset_of
    from simulations import engines

    config = load_config(list(overrides))
    check_against(config, dataset_of(config))
    engines.run(config, folder, lambda row: None)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def best_step(scores: Mapping[float, Sequence[float]]) -> float | None:
    """Step size with the best mean score; of equal ones the first.

    Args:
        scores: validation scores per step size, one per tuning seed. A step size with fewer scores than
            another lost runs and is out.

    Returns:
        The step size, or None without any score.
    """
    most = max((len(found) for found in scores.values()), default=0)
    complete = {step: sum(found) / most for step, found in scores.items() if most and len(found) == most}
    return max(complete, key=lambda step: complete[step]) if complete else None


def paired(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Mean of ``first - second`` with its paired 95 % t interval.

    Args:
        first: scores, one per seed, of at least two seeds.
        second: scores of the same seeds in the same order.
    """
    from fedmce.study.statistics import paired as compared

    if len(first) < 2:
        raise ValueError(f"paired: given {len(first)} pair(s); an interval needs at least 2")
    found = compared(first, second)
    assert found.low is not None
    assert found.high is not None
    return Interval(found.difference, found.low, found.high)
