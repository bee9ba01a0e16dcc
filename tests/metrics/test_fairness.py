"""How scores spread over sites, and comparisons of two runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.metrics import as_available, gain, score_sums, site_means, spread, unimodal_gap

BY_SITE = st.dictionaries(st.text(min_size=1, max_size=3), st.none() | st.floats(0.01, 1), max_size=30)


def test_a_spread_by_hand() -> None:
    found = spread({"x": 0.2, "y": 0.6, "z": 1.0, "mute": None})
    assert found == {
        "sites": 3,
        "mean": pytest.approx(0.6),
        "sd": pytest.approx(math.sqrt(0.32 / 3)),
        "percentile_10": pytest.approx(0.28),
        "worst_decile": pytest.approx(0.2),
        "worst": 0.2,
        "worst_site": "x",
        "jain": pytest.approx(1.8**2 / (3 * 1.4)),
    }


def test_the_worst_decile_of_25_sites_is_the_mean_of_three() -> None:
    assert spread({f"{i:02d}": float(i) for i in range(25)})["worst_decile"] == 1.0


@given(by_site=BY_SITE)
def test_a_spread_is_ordered_and_bounded(by_site: dict[str, float | None]) -> None:
    found, known = spread(by_site), [v for v in by_site.values() if v is not None]
    assert found["sites"] == len(known)
    if not known:
        assert all(v is None for key, v in found.items() if key != "sites")
        return
    lowest, decile, tenth, mean, jain = (found[k] for k in ("worst", "worst_decile", "percentile_10", "mean", "jain"))
    assert isinstance(lowest, float)
    assert isinstance(decile, float)
    assert isinstance(tenth, float)
    assert isinstance(mean, float)
    assert isinstance(jain, float)
    assert min(known) == lowest <= decile + 1e-12
    assert decile <= mean + 1e-12
    assert lowest <= tenth + 1e-12
    assert 1 / len(known) - 1e-12 <= jain <= 1 + 1e-12


@given(score=st.floats(0.01, 1), sites=st.integers(1, 20))
def test_equal_sites_are_fair(score: float, sites: int) -> None:
    found = spread({str(i): score for i in range(sites)})
    assert found["sd"] == pytest.approx(0, abs=1e-9)
    assert found["jain"] == pytest.approx(1)
    assert found["percentile_10"] == found["worst_decile"] == pytest.approx(score)


def test_one_site_that_has_all_is_as_unfair_as_can_be_and_zeros_are_neither() -> None:
    assert spread({"x": 1.0, "y": 0.0, "z": 0.0, "w": 0.0})["jain"] == 0.25
    assert spread({"x": 0.0, "y": 0.0})["jain"] is None
    assert spread({"x": 0.0, "y": 0.0})["mean"] == 0.0


def test_a_site_s_mean_is_over_the_subsets_that_it_can_be_scored_on() -> None:
    assert site_means({"x": {"a": 0.5, "b": None, "a+b": 1.0}, "y": {"a": None}}) == {"x": 0.75, "y": None}


def test_the_benefit_of_joining_by_hand() -> None:
    gains, losers = gain({"x": 0.75, "y": 0.5, "new": 0.9}, {"x": 0.5, "y": 0.75, "z": None})
    assert gains == {"new": None, "x": 0.25, "y": -0.25, "z": None}
    assert losers == 0.5
    assert gain({}, {"x": 0.5}) == ({"x": None}, None)


@given(by_site=BY_SITE)
def test_nobody_gains_from_itself(by_site: dict[str, float | None]) -> None:
    gains, losers = gain(by_site, by_site)
    assert all(g in (0.0, None) for g in gains.values())
    assert losers in (0.0, None)


def test_the_unimodal_gap_by_hand() -> None:
    alone = {"a": {"a": 0.7}, "b": {"b": None}, "c": {"c": 0.4}}
    assert unimodal_gap({"a": 0.6, "b": 0.5, "a+b": 0.9}, alone) == {"a": pytest.approx(-0.1), "b": None, "c": None}


def test_as_available_counts_each_row_once_and_undefined_sites_not_at_all() -> None:
    zero = np.zeros(3, np.int64)
    cells = {
        "x": score_sums(zero, np.eye(2)[[0, 0, 1]], zero),
        "mute": score_sums(zero[:0], np.zeros((0, 2)), zero[:0]),
    }
    assert as_available(cells, "accuracy") == {
        "score": pytest.approx(2 / 3),
        "rows": 3,
        "per_site": {"mute": None, "x": pytest.approx(2 / 3)},
    }


def test_as_available_of_one_class_has_no_auc() -> None:
    zero = np.zeros(2, np.int64)
    found = as_available({"x": score_sums(zero, np.array([[0.4, 0.6], [0.7, 0.3]]), zero)}, "auc_within_sites")
    assert found == {"score": None, "rows": 2, "per_site": {"x": None}}
