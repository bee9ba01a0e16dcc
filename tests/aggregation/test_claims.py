"""What claims can buy: bounds against the others' median, and shares that water-filling keeps to their limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedmce.aggregation import QualityState, bounded_claims, capped_shares, compared_quality, share_limits
from tests.oracles.robust_rows import others_median, water_filled

SITES = ("a", "b", "c", "d", "e", "f", "g")
CLAIM = st.floats(0.001, 100)
CLAIMS = st.dictionaries(st.sampled_from(SITES), CLAIM, min_size=2)
WEIGHTS = st.dictionaries(st.sampled_from(SITES), st.floats(1e-6, 1e6), min_size=1)
CAPS = {"cap": 1.25, "floor": 0.1}


def ones(claims: dict[str, float | None] | dict[str, float]) -> dict[str, float]:
    return dict.fromkeys(claims, 1.0)


@settings(deadline=None)
@given(claims=CLAIMS, cap=st.floats(1, 3), floor=st.floats(0.01, 1))
def test_claims_are_raised_first_and_then_cut_against_what_that_leaves(
    claims: dict[str, float], cap: float, floor: float
) -> None:
    raised = {s: max(c, floor * others_median(claims, s)) for s, c in claims.items()}
    expected = {s: min(c, cap * others_median(raised, s)) for s, c in raised.items()}
    assert bounded_claims(claims, ones(claims), cap=cap, floor=floor) == pytest.approx(expected)


@given(holders=st.integers(2, 9), honest=CLAIM, lies=st.tuples(CLAIM, CLAIM))
def test_among_sites_that_agree_nobody_gains_by_claiming_less(
    holders: int, honest: float, lies: tuple[float, float]
) -> None:
    def part(claim: float) -> float:
        claims = {f"s{i}": honest for i in range(holders - 1)} | {"liar": claim}
        used = bounded_claims(claims, ones(claims), **CAPS)
        return used["liar"] / sum(used.values())

    assert part(min(lies)) <= part(max(lies)) * (1 + 1e-9)
    assert part(max(lies)) <= 1.25 / (1.25 + holders - 1) * (1 + 1e-9)


@given(claims=CLAIMS, factor=st.sampled_from([0.5, 4.0]))
def test_only_proportions_of_claims_count(claims: dict[str, float], factor: float) -> None:
    scaled = bounded_claims({s: c * factor for s, c in claims.items()}, ones(claims), **CAPS)
    assert scaled == {s: c * factor for s, c in bounded_claims(claims, ones(claims), **CAPS).items()}


@given(claims=CLAIMS)
def test_the_order_of_sites_changes_no_bit(claims: dict[str, float]) -> None:
    assert bounded_claims(dict(reversed(claims.items())), ones(claims), **CAPS) == bounded_claims(
        claims, ones(claims), **CAPS
    )


@given(claims=st.dictionaries(st.sampled_from(SITES), st.floats(1.0, 1.25), min_size=2))
def test_sites_that_agree_are_left_alone(claims: dict[str, float]) -> None:
    assert bounded_claims(claims, ones(claims), **CAPS) == claims


@pytest.mark.parametrize("lie", [None, math.nan, math.inf, -math.inf])
def test_no_claim_becomes_the_mean_of_the_others_by_their_rows(lie: float | None) -> None:
    used = bounded_claims({"a": 1.0, "b": 0.9, "c": lie}, {"a": 30.0, "b": 10.0, "c": 1e9}, **CAPS)
    assert used == pytest.approx({"a": 1.0, "b": 0.9, "c": (30 * 1.0 + 10 * 0.9) / 40})


def test_a_claim_below_zero_counts_as_zero_and_is_raised_to_the_floor() -> None:
    used = bounded_claims({"a": 1.0, "b": 1.0, "c": -5.0}, dict.fromkeys("abc", 1.0), **CAPS)
    assert used == {"a": pytest.approx(0.6875), "b": pytest.approx(0.6875), "c": pytest.approx(0.1)}


@pytest.mark.parametrize(
    "claims", [{"a": 3.0}, {"a": None, "b": None}, {"a": 0.0, "b": 0.0}, {"a": -1.0, "b": math.nan}]
)
def test_where_there_is_nothing_to_compare_all_count_the_same(claims: dict[str, float | None]) -> None:
    assert bounded_claims(claims, ones(claims), **CAPS) == dict.fromkeys(claims, 1.0)


def test_one_claim_alone_buys_nothing() -> None:
    used = bounded_claims({"a": 50.0, "b": None, "c": None}, dict.fromkeys("abc", 1.0), **CAPS)
    assert len(set(used.values())) == 1


def test_a_site_that_claims_next_to_nothing_does_not_gain_by_it() -> None:
    """With two holders the cap of the other is a multiple of this very claim."""
    for lie in (1e-9, 1e-3, 0.05):
        used = bounded_claims({"honest": 0.1, "liar": lie}, {"honest": 1.0, "liar": 1.0}, **CAPS)
        assert used["liar"] / sum(used.values()) < 0.5


# --- shares ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(weights=WEIGHTS, rows=st.lists(st.floats(1, 1e5), min_size=7, max_size=7), most=st.floats(0.05, 1))
def test_shares_sum_to_one_keep_their_limits_and_their_order(
    weights: dict[str, float], rows: list[float], most: float
) -> None:
    limits = share_limits(dict(zip(weights, rows, strict=False)), slack=0.15, most=most)
    assert sum(limits.values()) >= 1 - 1e-12
    shares = capped_shares(weights, limits)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-9)
    assert all(0 <= share <= limits[site] * (1 + 1e-9) for site, share in shares.items())
    for one in weights:
        for other in weights:
            if weights[one] <= weights[other] and limits[one] <= limits[other]:
                assert shares[one] <= shares[other] * (1 + 1e-9)


@settings(deadline=None)
@given(weights=WEIGHTS, most=st.floats(0.2, 1))
def test_water_filling_is_its_oracle(weights: dict[str, float], most: float) -> None:
    limits = share_limits(ones(weights), slack=0.15, most=most)
    assume(sum(limits.values()) > 1 + 1e-6)  # else the level is not determined
    assert capped_shares(weights, limits) == pytest.approx(water_filled(weights, limits), rel=1e-6, abs=1e-9)


def test_what_is_cut_off_may_push_others_to_their_limits_too() -> None:
    shares = capped_shares({"a": 90.0, "b": 9.0, "c": 1.0}, {"a": 0.4, "b": 0.4, "c": 0.4})
    assert shares == pytest.approx({"a": 0.4, "b": 0.4, "c": 0.2})


def test_weights_within_their_limits_stay_to_the_bit() -> None:
    weights = {"a": 0.1 + 0.2, "b": 1 - (0.1 + 0.2)}
    assert capped_shares(weights, {"a": 0.65, "b": 0.75}) == weights


def test_a_holder_without_weight_gets_what_nobody_else_may_have() -> None:
    assert capped_shares({"a": 1.0, "b": 0.0}, {"a": 0.65, "b": 0.65}) == pytest.approx({"a": 0.65, "b": 0.35})


def test_limits_are_those_of_the_specification() -> None:
    assert share_limits({"a": 5.0}, slack=0.15, most=0.65) == {"a": 1.0}
    assert share_limits({"a": 1.0, "b": 1.0}, slack=0.15, most=0.65) == {"a": 0.65, "b": 0.65}
    assert share_limits({"a": 4.0, "b": 3.0, "c": 3.0}, slack=0.15, most=0.65) == pytest.approx(
        {"a": 0.55, "b": 1 / 3 + 0.15, "c": 1 / 3 + 0.15}
    )
    assert share_limits({"a": 1.0, "b": 1.0, "c": 1.0}, slack=0.0, most=0.1) == dict.fromkeys("abc", 1 / 3)


# --- belief ---------------------------------------------------------------------------------------


def test_a_new_site_starts_at_the_mean_where_claims_are_doubted() -> None:
    fresh = {"x": {"a": (9.0, 3.0)}}
    believed = QualityState().updated(fresh, 0.7).sums["x"]["a"]
    doubted = QualityState().updated(fresh, 0.7, from_mean=True).sums["x"]["a"]
    assert believed == (pytest.approx(9.0), pytest.approx(3.0))
    assert doubted == (pytest.approx(0.7 * 3 + 0.3 * 9), pytest.approx(3.0))


def test_a_site_s_word_on_its_own_spread_buys_no_belief_where_errors_are_left_out() -> None:
    own = {f"s{i}": 0.2 for i in range(3)} | {"liar": 0.9}
    state = QualityState({s: {"a": (12 * v, 12 * 0.375)} for s, v in own.items()}, {s: {"a": 12} for s in own})
    limits = {"clip_low": 0.05, "clip_high": 5.0}
    sure = {s: {"a": 1e-6} for s in own}
    believed = compared_quality(state, sure, **limits)["liar"]["a"]
    doubted = compared_quality(state, {}, row_variance=0.25, **limits)["liar"]["a"]
    assert doubted < believed
    assert doubted == pytest.approx(compared_quality(state, {}, **limits)["liar"]["a"])
    assert compared_quality(state, {}, row_variance=9.0, **limits)["liar"]["a"] == 1.0
