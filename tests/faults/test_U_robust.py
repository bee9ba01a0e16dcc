"""Updates that lie in size or direction, behind the gate: U06, U07, U54, U55, single holders, server optimisers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedmce.aggregation import NormHistory, server_step
from fedmce.config.schema import ServerOptimiserConfig
from server.state import GlobalState
from tests.faults import holders
from tests.faults.holders import config, names, round_of
from tests.server.made import same_bits

ROBUST = ("clip", "median", "trimmed", "clip_median", "clip_trimmed")
DIRECTION = np.ones(16) / 4


def honest(seed: int) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).normal(size=16)
    return DIRECTION + 0.5 * noise / np.linalg.norm(noise)


def after_rounds(count: int, told: Any, rounds: int = 5) -> GlobalState:
    """The state after rounds in which all holders were honest."""
    state = GlobalState(0, holders.zeros(16))
    for number in range(rounds):
        state = round_of({s: honest(100 * number + i) for i, s in enumerate(names(count))}, told, state=state).state
    return state


def moved(before: GlobalState, after: GlobalState) -> np.ndarray[Any, Any]:
    return (after.model["encoder.a/w"].astype(float) - before.model["encoder.a/w"]).ravel()


# --- size -----------------------------------------------------------------------------------------


def test_U06_a_change_fifty_times_as_long_is_beyond_what_the_gate_lets_through() -> None:
    state = after_rounds(3, config())
    limits = state.norms.refusal_limits()
    longest = max(float(np.linalg.norm(honest(seed))) for seed in range(20))
    assert set(limits) == set(holders.COMPONENTS)
    assert all(5 * longest < limit < 50 * longest for limit in limits.values())


@pytest.mark.parametrize("rule", ["clip", "clip_median", "clip_trimmed"])
@pytest.mark.parametrize("times", [5, 50])
def test_U07_a_change_five_times_as_long_is_clipped_to_tau_with_a_log_line(rule: str, times: int) -> None:
    told = config(aggregation__robust__rule=rule)
    state = after_rounds(4, told)
    changes = {s: honest(i) for i, s in enumerate(names(4))}
    lengths = {s: float(np.linalg.norm(change)) for s, change in changes.items()}
    step = round_of(changes | {"s00": times * changes["s00"]}, told, state=state)
    tau = state.norms.limit("encoder.a", told.aggregation.robust)
    assert tau == pytest.approx(2 * np.median(list(lengths.values())), rel=0.2)
    log = step.robust["encoder.a"]
    assert log["rule"] == rule
    assert log["limit"] == tau
    assert log["cut"] == {"s00": pytest.approx(tau / (times * lengths["s00"]), rel=1e-4)}
    clipped = round_of(changes | {"s00": changes["s00"] * tau / lengths["s00"]}, told, state=state)
    np.testing.assert_allclose(moved(state, step.state), moved(state, clipped.state), atol=1e-5)


def test_U07_the_first_rounds_are_clipped_to_the_planned_norm() -> None:
    told = config(aggregation__robust__rule="clip", aggregation__robust__first_norm=0.5)
    step = round_of({"s00": 1e3 * DIRECTION, "s01": 0.1 * DIRECTION}, told)
    assert step.robust["encoder.a"]["cut"] == {"s00": pytest.approx(0.0005)}
    assert moved(GlobalState(0, holders.zeros(16)), step.state) @ DIRECTION == pytest.approx(0.3, rel=1e-4)


# --- direction ------------------------------------------------------------------------------------


def test_U54_one_of_two_moves_a_component_no_further_than_its_clipped_half() -> None:
    for rule in ROBUST:
        told = config(aggregation__robust__rule=rule)
        state = after_rounds(2, told)
        tau = state.norms.limit("encoder.a", told.aggregation.robust)
        step = round_of({"s00": -5 * honest(0), "s01": honest(1)}, told, state=state)
        assert step.robust["encoder.a"]["rule"] == "clip"
        assert np.linalg.norm(moved(state, step.state) - honest(1) / 2) <= tau / 2 * (1 + 1e-5)
        assert step.robust["encoder.a"]["apart"] == pytest.approx(np.linalg.norm(5 * honest(0) + honest(1)), rel=1e-4)


@pytest.mark.parametrize(("count", "liars"), [(3, 1), (5, 2)])
@pytest.mark.parametrize("rule", ["median", "clip_median", "trimmed", "clip_trimmed"])
def test_U54_liars_who_turn_the_sign_stay_within_the_bound_of_the_rule(rule: str, count: int, liars: int) -> None:
    told = config(aggregation__robust__rule=rule)
    state = after_rounds(count, told)
    tau = state.norms.limit("encoder.a", told.aggregation.robust)
    truth = {s: honest(i) for i, s in enumerate(names(count))}
    changes = {s: -5 * change if i < liars else change for i, (s, change) in enumerate(truth.items())}
    found = moved(state, round_of(changes, told, state=state).state)
    true = np.stack([truth[s] for s in names(count)[liars:]])
    trims_too_few = rule.endswith("trimmed") and liars > 1
    if not trims_too_few:
        assert ((true.min(axis=0) - 1e-5 <= found) & (found <= true.max(axis=0) + 1e-5)).all()
        assert np.linalg.norm(found - true.mean(axis=0)) <= np.linalg.norm(true.max(axis=0) - true.min(axis=0))
        assert found @ DIRECTION > 0.4
    else:  # 20 % of five is one: a second liar gets through, and steers unless it is clipped
        assert found @ DIRECTION < 0.4
        if rule == "clip_trimmed":
            assert np.linalg.norm(found) <= tau


@pytest.mark.parametrize(("count", "kept"), [(3, 1), (4, 2)])
def test_U55_trimmed_of_three_or_four_drops_one_at_each_end(count: int, kept: int) -> None:
    told = config(aggregation__robust__rule="trimmed")
    changes = {s: np.full(4, value) for s, value in zip(names(count), [-1e3, 1.0, 2.0, 1e3][-count:], strict=True)}
    step = round_of(changes, told)
    assert step.robust["encoder.a"]["trimmed"] == 1
    middle = sorted(float(change[0]) for change in changes.values())[1:-1]
    assert len(middle) == kept
    assert step.state.model["encoder.a/w"].tolist() == [sum(middle) / kept] * 4


def test_votes_are_recorded_as_equal_weights_and_means_with_the_weights_that_they_used() -> None:
    changes = {s: honest(i) for i, s in enumerate(names(4))}
    rows = {"s00": 10, "s01": 20, "s02": 30, "s03": 40}
    voted = round_of(changes, config(aggregation__robust__rule="median"), rows=rows)
    assert voted.weights["fusion"] == dict.fromkeys(changes, 0.25)
    weighed = round_of(changes, config(aggregation__robust__rule="clip"), rows=rows)
    assert weighed.weights["fusion"] == pytest.approx({s: n / 100 for s, n in rows.items()})


def test_a_component_of_one_holder_is_clipped_or_stays_as_it_was() -> None:
    start = GlobalState(0, holders.zeros(16), optimiser={"encoder.a": {"m/encoder.a/w": np.ones(16, np.float32)}})
    change = {"s00": 1e3 * DIRECTION}
    for rule in ("mean", "clip_median"):
        still = round_of(change, config(aggregation__robust__rule=rule, privacy__single_holder="freeze"), state=start)
        assert same_bits(still.state.model, start.model)
        assert still.state.optimiser == start.optimiser
        assert still.weights == {}
        assert {log["rule"] for log in still.robust.values()} == {"frozen"}
        assert still.state.norms == NormHistory()
    cut = round_of(change, config(aggregation__robust__rule="clip_median"), state=start)
    assert np.linalg.norm(moved(start, cut.state)) == pytest.approx(10.0, rel=1e-5)
    taken = round_of(change, config(), state=start)
    assert np.linalg.norm(moved(start, taken.state)) == pytest.approx(1e3, rel=1e-5)


def test_server_optimisers_step_from_the_robust_mean_and_not_too_far() -> None:
    told = config(aggregation__robust__rule="clip_median", aggregation__server={"name": "adam", "lr": 100.0})
    state = after_rounds(3, config(aggregation__robust__rule="clip_median"))
    step = round_of({s: honest(i) for i, s in enumerate(names(3))}, told, state=state)
    tau = state.norms.limit("encoder.a", told.aggregation.robust)
    assert np.linalg.norm(moved(state, step.state)) == pytest.approx(5 * tau, rel=1e-4)
    assert 0 < step.robust["encoder.a"]["step_cut"] < 1
    median = round_of(
        {s: honest(i) for i, s in enumerate(names(3))}, config(aggregation__robust__rule="median"), state=state
    )
    start = {"encoder.a/w": state.model["encoder.a/w"]}
    mean = {"encoder.a/w": median.state.model["encoder.a/w"]}
    server = ServerOptimiserConfig(name="adam", lr=100.0)
    assert same_bits(step.state.optimiser["encoder.a"], server_step(server, start, mean, {})[1])


def test_one_bad_reply_does_not_freeze_adam_for_good() -> None:
    """Row 28 of what stock aggregation does: the second moment of a huge reply stays for ever."""
    told = config(aggregation__robust__rule="clip_median", aggregation__server={"name": "adam", "lr": 0.1})
    state = after_rounds(3, told)
    state = round_of({"s00": np.full(16, 9e3), "s01": honest(1), "s02": honest(2)}, told, state=state).state
    before = state
    for number in range(6):
        state = round_of({s: honest(10 * number + i) for i, s in enumerate(names(3))}, told, state=state).state
    assert moved(before, state) @ DIRECTION > 0.5
