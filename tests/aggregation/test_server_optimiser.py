"""The server's step per component: hand-sized numbers, what stays still, and Flower's own classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam, FedYogi
from flwr.serverapp.strategy.fedopt import FedOpt

from fedmce.aggregation import server_step
from fedmce.config.schema import ServerOptimiserConfig
from fedmce.flower_compat import ArrayRecord, Message, MetricRecord, RecordDict, array_record, arrays_of, identity

KEY = "encoder.a/w"


def step(x: float, mean: float, memory: dict[str, Any] | None = None, **config: Any) -> tuple[float, dict[str, Any]]:
    """One step of a component with one parameter."""
    as_array = {KEY: np.array([x], dtype=np.float32)}, {KEY: np.array([mean], dtype=np.float32)}
    state, kept = server_step(ServerOptimiserConfig(**config), *as_array, memory or {})
    assert state[KEY].dtype == np.float32
    return float(state[KEY][0]), kept


def test_momentum_by_hand() -> None:
    """u = 0.9 u - D, x = x - u: averages 0.8 and then 0.7 give 0.8 and 0.52."""
    x, memory = step(1.0, 0.8, name="momentum", beta1=0.9)
    assert x == pytest.approx(0.8)
    x, _ = step(x, 0.7, memory, name="momentum", beta1=0.9)
    assert x == pytest.approx(0.52)


@pytest.mark.parametrize(("name", "first"), [("adam", 0.904874), ("yogi", 0.904875)])
def test_the_first_adaptive_step_by_hand(name: str, first: float) -> None:
    """x = 1, D = -0.2, v starts at tau^2 and not at 0 (that would give 0.904762)."""
    x, _ = step(1.0, 0.8, name=name, lr=0.1)
    assert x == pytest.approx(first, abs=5e-7)


@pytest.mark.parametrize(("name", "v"), [("adam", 0.000397), ("yogi", 0.000399)])
def test_a_small_step_after_a_large_one_leaves_yogi_more_cautious(name: str, v: float) -> None:
    """D = -0.2 and then -0.01; Yogi forgets a large update more slowly."""
    x, memory = step(1.0, 0.8, name=name, lr=0.1)
    _, memory = step(x, x - 0.01, memory, name=name, lr=0.1)
    assert float(memory[f"v/{KEY}"][0]) == pytest.approx(v, abs=2e-6)


def test_without_an_optimiser_the_mean_is_the_next_state_to_the_bit() -> None:
    mean = {KEY: np.float32([0.1, -3.7])}
    state, memory = server_step(ServerOptimiserConfig(), {KEY: np.float32([9, 9])}, mean, {})
    assert state[KEY].tobytes() == mean[KEY].tobytes()
    assert memory == {}


@pytest.mark.parametrize("name", ["momentum", "adam", "yogi"])
def test_running_statistics_are_averaged_and_never_stepped(name: str) -> None:
    """A variance that is stepped along its difference can turn negative."""
    keys = ["encoder.a/1.running_mean", "encoder.a/1.running_var", "encoder.a/1.num_batches_tracked"]
    old = {key: np.float32([8.0]) for key in [*keys, KEY]}
    mean = {key: np.float32([2.0]) for key in [*keys, KEY]}
    memory: dict[str, Any] = {}
    for _ in range(3):
        old, memory = server_step(ServerOptimiserConfig(name=name, lr=0.1), old, mean, memory)
        assert all(old[key].tobytes() == mean[key].tobytes() for key in keys)
    assert {key.partition("/")[2] for key in memory} == {KEY}
    assert float(old[KEY][0]) != 2.0


def replies(states: dict[str, dict[str, Any]], rows: dict[str, int]) -> list[Message]:
    """Sites that answer Flower's strategy with given states and numbers of rows."""
    found = []
    for site, state in states.items():
        records = {"arrays": array_record(state), "metrics": MetricRecord({"num-examples": rows[site]})}
        found.append(Message(RecordDict(records), reply_to=Message(RecordDict({}), 1, "train")))
    return found


def weighted(states: dict[str, dict[str, Any]], rows: dict[str, int]) -> dict[str, Any]:
    total = sum(rows.values())
    keys = next(iter(states.values()))
    return {k: sum(rows[s] / total * states[s][k].astype(np.float64) for s in states).astype(np.float32) for k in keys}


@pytest.mark.parametrize(("name", "theirs"), [("adam", FedAdam), ("yogi", FedYogi)])
def test_three_rounds_are_flowers_own_but_for_what_is_documented(name: str, theirs: type[FedOpt]) -> None:
    """Flower starts v at 0 where Reddi et al. ask for tau^2, and its FedAdam alone corrects for bias.

    Both are given the same v to start from; the factor of Flower's FedAdam is taken out through its step size.
    """
    draw, rows, tau = np.random.default_rng(1), {"north": 10, "south": 30}, 1e-3
    start = {KEY: draw.normal(size=7).astype(np.float32)}
    ours, memory, config = start, dict[str, Any](), ServerOptimiserConfig(name=name, lr=0.1, tau=tau)
    strategy = theirs(eta=0.1, tau=tau, fraction_evaluate=0.0)
    strategy.current_arrays, strategy.v_t = dict(start), {KEY: np.full(7, tau**2)}
    for number in (1, 2, 3):
        states = {site: {KEY: draw.normal(size=7).astype(np.float32)} for site in rows}
        if name == "adam":
            strategy.eta = 0.1 * (1 - 0.9 ** (number + 1)) / np.sqrt(1 - 0.99 ** (number + 1))
        with identity(1):
            record, _ = strategy.aggregate_train(number, replies(states, rows))
        assert isinstance(record, ArrayRecord)
        strategy.current_arrays = arrays_of(record)
        ours, memory = server_step(config, ours, weighted(states, rows), memory)
        np.testing.assert_allclose(ours[KEY], strategy.current_arrays[KEY], rtol=1e-4, atol=1e-5)
    assert not np.allclose(ours[KEY], start[KEY])
