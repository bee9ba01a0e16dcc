"""Laws 15 to 18: means of components over their holders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.aggregation import weighted_mean

State = dict[str, np.ndarray]
SITES = ("north", "south", "east", "west", "10", "9")


def state(seed: int) -> State:
    numbers = np.random.default_rng(seed)
    return {
        "encoder.a/w": numbers.normal(0, 10.0 ** numbers.integers(-6, 6), (3, 4)).astype(np.float32),
        "encoder.a/b": numbers.normal(size=3).astype(np.float32),
    }


@given(
    count=st.integers(2, 6),
    weights=st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=6),
    data=st.data(),
)
def test_order_of_sites_and_keys_changes_no_bit(count: int, weights: list[float], data: st.DataObject) -> None:
    states = {site: state(i) for i, site in enumerate(SITES[:count])}
    share = dict(zip(SITES[:count], weights, strict=False))
    order = data.draw(st.permutations(SITES[:count]))
    again = {site: dict(reversed(states[site].items())) for site in order}
    first = weighted_mean(states, share)
    second = weighted_mean(again, {site: share[site] for site in reversed(order)})
    assert {key: value.tobytes() for key, value in first.items()} == {k: v.tobytes() for k, v in second.items()}


def test_order_of_arrival_changes_no_bit_even_where_sums_cancel() -> None:
    """(2^60 - 2^60) + 1 is 1, (2^60 + 1) - 2^60 is 0: only a fixed order gives one answer."""
    values = {"a": 2.0**60, "b": 1.0, "c": -(2.0**60)}
    states = {site: {"x/w": np.array([value], np.float32)} for site, value in values.items()}
    answers = {
        weighted_mean({site: states[site] for site in order}, dict.fromkeys(order, 1.0))["x/w"].tobytes()
        for order in permutations("abc")
    }
    assert len(answers) == 1


def test_a_single_holder_s_arrays_come_out_bit_by_bit_as_copies() -> None:
    odd = {"x/w": np.array([-0.0, 1e-45, 3.4e38, 0.1], dtype=np.float32)}
    mean = weighted_mean({"north": odd}, {"north": 0.3})
    assert mean["x/w"].tobytes() == odd["x/w"].tobytes()
    mean["x/w"][0] = 5
    assert odd["x/w"][0] == 0


@given(count=st.integers(2, 6), weights=st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=6), seed=st.integers(0, 99))
def test_equal_states_stay_within_one_unit_in_the_last_place(count: int, weights: list[float], seed: int) -> None:
    states = {site: state(seed) for site in SITES[:count]}
    for key, value in weighted_mean(states, dict(zip(SITES[:count], weights, strict=False))).items():
        np.testing.assert_array_max_ulp(value, state(seed)[key], maxulp=1)


@given(count=st.integers(2, 6), weights=st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=6))
def test_the_mean_is_numpy_s_weighted_average(count: int, weights: list[float]) -> None:
    states = {site: state(i) for i, site in enumerate(SITES[:count])}
    mean = weighted_mean(states, dict(zip(SITES[:count], weights, strict=False)))
    for key, value in mean.items():
        stacked = np.stack([states[site][key].astype(np.float64) for site in SITES[:count]])
        expected = np.average(stacked, axis=0, weights=weights[:count])
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7 * np.abs(stacked).max())


@given(factor=st.sampled_from([2.0**-9, 0.5, 4.0, 2.0**20]))
def test_only_proportions_of_weights_count(factor: float) -> None:
    states, weights = {site: state(i) for i, site in enumerate("abc")}, {"a": 0.2, "b": 5.0, "c": 1.3}
    scaled = weighted_mean(states, {site: w * factor for site, w in weights.items()})
    for key, value in weighted_mean(states, weights).items():
        assert value.tobytes() == scaled[key].tobytes()


def test_sums_are_kept_in_double_precision() -> None:
    """In single precision the small states would vanish beside the large one."""
    states = {"a": {"x/w": np.array([2.0**24], np.float32)}}
    states |= {f"b{i}": {"x/w": np.array([1.0], np.float32)} for i in range(8)}
    states["c"] = {"x/w": np.array([-(2.0**24)], np.float32)}
    assert weighted_mean(states, dict.fromkeys(states, 1.0))["x/w"] == pytest.approx(0.8)


def test_inputs_are_left_alone() -> None:
    states = {site: state(i) for i, site in enumerate("ab")}
    weighted_mean(states, {"a": 1.0, "b": 2.0})
    assert all(np.array_equal(states[s][k], state(i)[k]) for i, s in enumerate("ab") for k in states[s])


def test_a_parameter_without_axes_stays_an_array() -> None:
    """numpy makes a number of it, which no file and no message takes."""
    mean = weighted_mean({"x": {"n": np.float32(1)[...]}, "y": {"n": np.float32(2)[...]}}, {"x": 1.0, "y": 1.0})
    assert isinstance(mean["n"], np.ndarray)
    assert mean["n"].shape == ()
