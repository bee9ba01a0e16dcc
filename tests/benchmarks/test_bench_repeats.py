"""How two pieces of work are measured against each other."""

from __future__ import annotations

import gc

import pytest

from benchmarks import scaling
from benchmarks.repeats import alternating, median_ratio, seconds


class FakeClock:
    """Time passes only while work is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *cost: float) -> None:
        """The cost of the turns, one after another; the last one stays."""
        turn = self.order.count(name)
        self.order.append(name)
        self.now += cost[min(turn, len(cost) - 1)]


def test_the_ratio_is_the_median_of_neighbours_and_not_of_the_warm_up() -> None:
    clock = FakeClock()
    ratio = median_ratio(lambda: clock.work("full", 1000, 2, 2, 4, 400, 2), lambda: clock.work("plain", 1), 5, clock)
    assert ratio == 2


def test_a_machine_that_slows_down_slows_both_sides() -> None:
    clock = FakeClock()
    slower = (1, 1, 2, 4, 8, 16)
    full = lambda: clock.work("full", *(1.5 * s for s in slower))  # noqa: E731
    assert median_ratio(full, lambda: clock.work("plain", *slower), 5, clock) == pytest.approx(1.5)


def test_the_sides_take_turns_in_going_first() -> None:
    clock = FakeClock()
    alternating(lambda: clock.work("full", 1), lambda: clock.work("plain", 1), 4, clock)
    assert clock.order == ["full", "plain", *["full", "plain", "plain", "full"] * 2]


def test_no_garbage_is_collected_within_a_measured_time() -> None:
    seen: list[bool] = []
    seconds(lambda: seen.append(gc.isenabled()))
    assert seen == [False]
    assert gc.isenabled()


def test_at_most_linear_cannot_pass_for_a_square_behind_a_constant() -> None:
    def grown(constant: float, each: float, square: float) -> dict[int, float]:
        return {m: constant + each * m + square * m * m for m in scaling.SIZES}

    assert scaling.further_cost(grown(100, 1, 0)) == pytest.approx(1)
    assert scaling.further_cost(grown(100, 0, 1)) > 2
    assert scaling.further_cost(grown(100, 1, 0.03)) > scaling.FURTHER_GOAL
    # The exponent alone would let this one through.
    assert scaling.exponent(grown(100, 1, 0.03)) < scaling.EXPONENT_GOAL
    assert scaling.exponent(grown(0, 0, 1)) == pytest.approx(2)
