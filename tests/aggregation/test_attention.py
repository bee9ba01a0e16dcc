"""FedMSplit's mixtures: the hand-sized case, a frozen copy, single holders, and how much is shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.aggregation.attention import attention_mix


def number(value: float) -> dict[str, Any]:
    return {"w": np.float32([value])}


HAND = {
    "encoder.a": {"north": number(1.0), "south": number(0.0)},
    "fusion": {"north": number(0.0), "south": number(0.0)},
}


def test_the_hand_sized_case() -> None:
    """A_encoder = (.731059, .268941), A_head = (.5, .5): weights (.813151, .186849) at the first site, 1/2 at the other."""
    mix = attention_mix(HAND)
    assert float(mix.states["encoder.a"]["north"]["w"][0]) == pytest.approx(0.813151, abs=1e-6)
    assert float(mix.states["encoder.a"]["south"]["w"][0]) == pytest.approx(0.5, abs=1e-6)
    assert mix.others["encoder.a"] == pytest.approx((0.186849 + 0.5) / 2, abs=1e-6)


def by_loops(held: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The equations, one term at a time."""
    sites = sorted({site for by_site in held.values() for site in by_site})

    def flat(component: str, site: str) -> Any:
        parts = held[component][site]
        return np.concatenate([parts[k].ravel().astype("f8") for k in sorted(parts)])

    def attention(component: str, k: str, other: str) -> float:
        if k not in held[component] or other not in held[component]:
            return 0.0
        size = np.sqrt(len(flat(component, k)))
        powers = {j: np.exp(flat(component, k) @ flat(component, j) / size) for j in held[component]}
        return float(powers[other] / sum(powers.values()))

    def similarity(k: str, other: str) -> float:
        common = sum(k in held[b] and other in held[b] for b in held)
        return sum(attention(b, k, other) for b in held) / common if common else 0.0

    found: dict[str, dict[str, Any]] = {}
    for b in held:
        found[b] = {}
        for k in held[b]:
            weight = {j: attention(b, k, j) * similarity(k, j) for j in sites if j in held[b]}
            total = sum(weight.values())
            found[b][k] = sum(weight[j] / total * flat(b, j) for j in weight)
    return found


@given(seed=st.integers(0, 200), sites=st.integers(1, 4))
def test_it_is_the_equations_computed_from_a_frozen_copy(seed: int, sites: int) -> None:
    """In place, later sites would mix what is mixed already."""
    draw = np.random.default_rng(seed)
    names = [f"site{n}" for n in range(sites)]
    held = {}
    for component, size in (("encoder.a", 3), ("encoder.b", 2), ("fusion", 4)):
        holders = [n for n in names if component == "fusion" or draw.random() < 0.7] or names[:1]
        held[component] = {
            n: {"v": draw.normal(size=size).astype("f4"), "u": draw.normal(size=(2, 1)).astype("f4")} for n in holders
        }
    mix, expected = attention_mix(held), by_loops(held)
    for component, by_site in held.items():
        assert set(mix.states[component]) == set(by_site)
        for site, state in mix.states[component].items():
            assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in by_site[site].items()}
            flat = np.concatenate([state[k].ravel() for k in sorted(state)])
            np.testing.assert_allclose(flat, expected[component][site], rtol=1e-4, atol=1e-5)
    turned = attention_mix({c: dict(reversed(by.items())) for c, by in reversed(held.items())})
    for component, states in mix.states.items():
        for site, state in states.items():
            assert all(state[k].tobytes() == turned.states[component][site][k].tobytes() for k in state)


def test_a_single_holder_keeps_its_own_to_the_bit_and_counts_in_no_mean() -> None:
    alone = {"encoder.b": {"north": {"w": np.float32([0.1, -7.3])}}, **HAND}
    mix = attention_mix(alone)
    assert mix.states["encoder.b"]["north"]["w"].tobytes() == alone["encoder.b"]["north"]["w"].tobytes()
    assert set(mix.others) == {"encoder.a", "fusion"}


def test_large_components_are_hardly_shared_and_the_record_says_so() -> None:
    """Inner products grow with the size: four independent sites at size 100 000 keep most of their own."""
    draw = np.random.default_rng(0)

    def others(size: int) -> float:
        states = {f"site{n}": {"w": (0.1 * draw.normal(size=size)).astype("f4")} for n in range(4)}
        return attention_mix({"encoder.a": states}).others["encoder.a"]

    small, large = others(1000), others(100_000)
    assert small > 0.5
    assert large < 0.15


def test_a_parameter_without_axes_stays_an_array() -> None:
    states = {s: {"n": np.float32(v)[...]} for s, v in (("north", 1), ("south", 2))}
    assert all(
        isinstance(m["n"], np.ndarray) for m in attention_mix({"encoder.a": states}).states["encoder.a"].values()
    )


def test_huge_parameters_do_not_overflow() -> None:
    states = {s: {"w": np.full(1000, v, dtype="f4")} for s, v in (("north", 90.0), ("south", -90.0))}
    mix = attention_mix({"encoder.a": states})
    assert all(np.isfinite(state["w"]).all() for state in mix.states["encoder.a"].values())
