"""Laws 19 and 20, and how contribution ratios are smoothed, shrunk and clipped."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.aggregation import WEIGHTINGS, QualityState, quality, weighting
from fedmce.config.schema import AggregationConfig

ROWS = st.dictionaries(st.sampled_from(["north", "south", "east", "west"]), st.integers(1, 500), min_size=1)
QUALITY = st.floats(0.05, 2.0)


def q(own: float, expected: float, count: int, shrink: float = 0.0, low: float = 0.05, high: float = 2.0) -> float:
    """Quality of one site and modality."""
    state = QualityState({"x": {"a": (own, expected)}})
    found = quality(state, {"x": {"a": count}}, shrink_rows=shrink, clip_low=low, clip_high=high)
    return found["x"]["a"]


@given(rows=ROWS, data=st.data())
@pytest.mark.parametrize("rule", sorted(WEIGHTINGS))
def test_weights_are_positive_and_add_up_to_one(rule: str, rows: dict[str, int], data: st.DataObject) -> None:
    ratios = {site: data.draw(QUALITY) for site in rows}
    weights = WEIGHTINGS[rule](rows, ratios)
    assert weights.keys() == rows.keys()
    assert sum(weights.values()) == pytest.approx(1.0)
    assert all(weight > 0 for weight in weights.values())


@given(rows=ROWS, value=QUALITY)
def test_equal_quality_weighs_by_samples(rows: dict[str, int], value: float) -> None:
    assert WEIGHTINGS["contribution"](rows, dict.fromkeys(rows, value)) == pytest.approx(
        WEIGHTINGS["samples"](rows, {})
    )
    assert WEIGHTINGS["contribution"](rows, {}) == WEIGHTINGS["samples"](rows, {})


@given(rows=ROWS, factor=st.floats(0.01, 100), data=st.data())
def test_scaling_all_qualities_changes_nothing(rows: dict[str, int], factor: float, data: st.DataObject) -> None:
    ratios = {site: data.draw(QUALITY) for site in rows}
    scaled = {site: value * factor for site, value in ratios.items()}
    assert WEIGHTINGS["contribution"](rows, ratios) == pytest.approx(WEIGHTINGS["contribution"](rows, scaled))


@given(rows=ROWS, data=st.data())
def test_weights_are_the_same_to_the_bit_in_any_order(rows: dict[str, int], data: st.DataObject) -> None:
    ratios = {site: data.draw(QUALITY) for site in rows}
    for rule in WEIGHTINGS.values():
        assert rule(rows, ratios) == rule(dict(reversed(rows.items())), dict(reversed(ratios.items())))


def test_weights_by_hand() -> None:
    rows, ratios = {"x": 10, "y": 30}, {"x": 1.5, "y": 0.5}
    assert WEIGHTINGS["samples"](rows, ratios) == {"x": 0.25, "y": 0.75}
    assert WEIGHTINGS["uniform"](rows, ratios) == {"x": 0.5, "y": 0.5}
    assert WEIGHTINGS["contribution"](rows, ratios) == {"x": 0.5, "y": 0.5}


def test_registered_weightings_are_those_of_the_schema() -> None:
    assert set(WEIGHTINGS) == set(get_args(AggregationConfig.model_fields["weighting"].annotation))
    with pytest.raises(ValueError, match="'samples' is registered twice"):
        weighting("samples")(WEIGHTINGS["samples"])


@given(rows=st.integers(1, 1000), shrink=st.floats(0, 100), ratio=st.floats(0.2, 1.8))
def test_few_rows_shrink_a_ratio_towards_one(rows: int, shrink: float, ratio: float) -> None:
    # Expected contribution 1 per row: the standard error of n hits is believed n / (n + 1/4).
    believed = rows / (rows + shrink) * rows / (rows + 0.25)
    assert q(ratio * rows, rows, rows, shrink) == pytest.approx(1 + (ratio - 1) * believed)


@pytest.mark.parametrize(
    ("mean", "believed"), [(0.5, 0.5 * 25 / 25.25), (0.05, 0.5 * 0.25 / 0.5), (0.005, 0.5 * 1 / 101)]
)
def test_a_ratio_of_small_contributions_is_hardly_believed(mean: float, believed: float) -> None:
    assert q(1.5 * mean * 100, mean * 100, 100, 100.0) == pytest.approx(1 + 0.5 * believed)


def test_an_expected_contribution_of_nearly_nothing_divides_nothing() -> None:
    assert q(9, 1e-320, 10, 30.0) == pytest.approx(1.0)


def test_a_ratio_is_clipped_at_both_ends() -> None:
    assert q(-50, 50, 100) == 0.05
    assert q(500, 50, 100) == 2.0
    assert q(-50, 50, 100, low=0.3) == 0.3
    assert q(60, 50, 100, high=1.1) == 1.1


@pytest.mark.parametrize(("own", "expected", "count"), [(5, 0.0, 10), (5, -3, 10), (5, 2, 0)])
def test_where_nobody_gets_anything_or_nothing_is_held_a_site_counts_by_its_rows(
    own: float, expected: float, count: int
) -> None:
    assert q(own, expected, count, 30.0) == 1.0


def test_a_site_of_unknown_rows_counts_as_usual() -> None:
    state = QualityState({"x": {"a": (9.0, 3.0)}})
    assert quality(state, {}, shrink_rows=30, clip_low=0.05, clip_high=2.0) == {"x": {"a": 1.0}}


@given(
    smoothing=st.floats(0, 0.99), rounds=st.lists(st.tuples(st.floats(0, 9), st.floats(1, 9)), min_size=1, max_size=6)
)
def test_sums_are_smoothed_exponentially_from_the_first_value(
    smoothing: float, rounds: list[tuple[float, float]]
) -> None:
    state, own, expected = QualityState(), rounds[0][0], rounds[0][1]
    for pair in rounds:
        state = state.updated({"x": {"a": pair}}, smoothing)
        own, expected = (smoothing * own + (1 - smoothing) * pair[0], smoothing * expected + (1 - smoothing) * pair[1])
    assert state.sums["x"]["a"] == pytest.approx((own, expected))


def test_a_site_that_was_not_heard_keeps_its_sums_and_the_old_state_stays() -> None:
    before = QualityState({"x": {"a": (1.0, 2.0)}, "y": {"a": (3.0, 4.0)}})
    after = before.updated({"y": {"a": (5.0, 6.0), "b": (7.0, 8.0)}}, 0.5)
    assert after.sums == {"x": {"a": (1.0, 2.0)}, "y": {"a": (4.0, 5.0), "b": (7.0, 8.0)}}
    assert before.sums == {"x": {"a": (1.0, 2.0)}, "y": {"a": (3.0, 4.0)}}
