"""How far a site's contribution is believed: as far as sites differ more than chance lets them."""

from __future__ import annotations

import numpy as np
import pytest

from fedmce.aggregation import QualityState, compared_quality
from fedmce.aggregation.quality import between_sites, tolerated

LIMITS = {"clip_low": 0.05, "clip_high": 2.0}


def state_of_sites(own: dict[str, float], expected: float, rows: int) -> QualityState:
    return QualityState(
        {site: {"a": (rows * mean, rows * expected)} for site, mean in own.items()},
        {site: {"a": rows} for site in own},
    )


def errors_of(own: dict[str, float], error: float) -> dict[str, dict[str, float | None]]:
    return {site: {"a": error} for site in own}


def test_the_variance_between_sites_is_that_of_a_worked_example() -> None:
    # Weights 100 and 25: centre .08, Q = 100 (.08 - 0)^2 + 25 (.4 - .08)^2 = 3.2, room 125 - (10000 + 625) / 125 = 40.
    assert between_sites([0.0, 0.4], [0.01, 0.04]) == pytest.approx((3.2 - 1) / 40)
    assert between_sites([0.1, 0.1, 0.1], [0.01] * 3) == 0.0
    assert between_sites([0.7], [0.01]) == 0.0


def test_the_variance_between_sites_is_unbiased_where_it_is_large() -> None:
    draw = np.random.default_rng(3)
    found = [between_sites(list(draw.normal(0, 0.3, 20) + draw.normal(0, 0.1, 20)), [0.01] * 20) for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.09, abs=4 * np.std(found) / 20)


def test_sites_that_differ_by_chance_alone_keep_a_ratio_of_one() -> None:
    own = {"x": 0.20, "y": 0.22, "z": 0.18}
    found = compared_quality(state_of_sites(own, 0.2, 50), errors_of(own, 0.05), **LIMITS)
    assert found == {site: {"a": 1.0} for site in own}


def test_a_broken_sensor_is_found_with_few_rows() -> None:
    own = {f"good{i}": 0.3 for i in range(7)} | {"broken": -0.05}
    found = compared_quality(state_of_sites(own, 0.25, 15), errors_of(own, 0.05), **LIMITS)
    assert found["broken"]["a"] < 0.4
    assert all(found[f"good{i}"]["a"] > 1.0 for i in range(7))
    capped = compared_quality(state_of_sites(own, 0.25, 15), errors_of(own, 0.05), clip_low=0.3, clip_high=1.0)
    assert capped["broken"]["a"] == 0.3
    assert capped["good0"]["a"] == 1.0


def test_the_ratio_is_that_of_the_formula() -> None:
    own, rows, error = {"x": 0.5, "y": 0.1}, 10, 0.1
    found = compared_quality(state_of_sites(own, 0.3, rows), errors_of(own, error), clip_low=0.05, clip_high=5.0)
    variance = rows * error**2
    between = between_sites([0.2, -0.2], [variance / rows] * 2)
    belief = between / (between + variance / rows)
    scale = 0.3 / (0.3**2 + variance / (2 * rows))
    assert found["x"]["a"] == pytest.approx(1 + belief * 0.2 * scale)
    assert found["y"]["a"] == pytest.approx(1 - belief * 0.2 * scale)


def test_doubling_every_site_s_rows_and_scores_changes_no_order_of_sites_and_scale_of_values_nothing() -> None:
    own = {"x": 0.5, "y": 0.1, "z": 0.3}
    once = compared_quality(state_of_sites(own, 0.3, 10), errors_of(own, 0.1), clip_low=0.05, clip_high=5.0)
    scaled = {site: 7 * value for site, value in own.items()}
    again = compared_quality(state_of_sites(scaled, 2.1, 10), errors_of(own, 0.7), clip_low=0.05, clip_high=5.0)
    assert {s: r["a"] for s, r in again.items()} == pytest.approx({s: r["a"] for s, r in once.items()})


@pytest.mark.parametrize("own", [{"x": 0.4}, {"x": 0.0, "y": 0.0}, {"x": -0.2, "y": -0.1}])
def test_what_cannot_be_compared_counts_as_it_is(own: dict[str, float]) -> None:
    expected = sum(own.values()) / len(own)
    found = compared_quality(state_of_sites(own, expected, 12), errors_of(own, 0.2), **LIMITS)
    assert found == {site: {"a": 1.0} for site in own}


def test_a_site_without_rows_or_errors_is_neither_believed_nor_in_the_way() -> None:
    own = {"x": 0.5, "y": 0.1, "z": 0.3}
    state = state_of_sites(own, 0.3, 10)
    absent = QualityState(state.sums, state.rows | {"z": {}})
    found = compared_quality(absent, {"x": {"a": 0.1}, "y": {"a": None}}, **LIMITS)
    assert found["z"]["a"] == 1.0
    assert found["x"]["a"] > 1.0 > found["y"]["a"]


def test_a_ratio_has_the_benefit_of_the_doubt_down_to_the_tolerance() -> None:
    assert [tolerated(r, 0.5) for r in (1.7, 1.0, 0.7, 0.5)] == [1.7, 1.0, 1.0, 1.0]
    assert tolerated(0.25, 0.5) == pytest.approx(0.25)
    assert tolerated(0.1, 0.5) == pytest.approx(0.04)
    assert tolerated(-0.3, 0.5) == 0.0
    assert [tolerated(r, None) for r in (1.7, 0.7, -0.3)] == [1.7, 0.7, -0.3]
    assert tolerated(0.5 - 1e-9, 0.5) == pytest.approx(1.0)


def test_with_tolerance_sites_that_differ_somewhat_weigh_alike_and_a_broken_one_does_not() -> None:
    own = {"x": 0.30, "y": 0.24, "z": 0.20, "w": 0.28, "broken": 0.0}
    found = compared_quality(
        state_of_sites(own, 0.25, 200), errors_of(own, 0.01), clip_low=0.05, clip_high=1.0, tolerance=0.5
    )
    assert [found[site]["a"] for site in "xyzw"] == [1.0] * 4
    assert found["broken"]["a"] == 0.05
