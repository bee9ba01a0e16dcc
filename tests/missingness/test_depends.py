"""Missing at random and not at random: what decides, how strongly, and what must not be read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedmce.config.schema import MarConfig, MnarConfig
from fedmce.missingness import SiteView
from fedmce.missingness.logistic import probabilities, site_probability, summary
from tests.missingness.views import full, hide, near, view
from tests.oracles.worlds import Bools


def with_values(shown: SiteView, **values: Any) -> SiteView:
    """The view of a site whose modalities hold other values."""
    assert shown.rows is not None
    features = {name: values.get(name, old).astype(np.float32) for name, old in shown.rows.features.items()}
    return replace(shown, rows=replace(shown.rows, features=features))


def scrambled(shown: SiteView, *names: str) -> SiteView:
    assert shown.rows is not None
    rng = np.random.default_rng(5)
    return with_values(shown, **{n: rng.normal(3, 9, shown.rows.features[n].shape) for n in names})


@given(
    score=st.lists(st.floats(-4, 4), min_size=1, max_size=30),
    slope=st.floats(-20, 20),
    rate=st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.97, 1.0]),
)
def test_the_intercept_makes_the_mean_probability_the_rate(score: list[float], slope: float, rate: float) -> None:
    chance = probabilities(np.array(score), slope, rate)
    assert chance.mean() == pytest.approx(rate, abs=1e-9)
    assert ((chance >= 0) & (chance <= 1)).all()
    if 0 < rate < 1 and len(score) > 1 and slope > 0:
        assert (np.diff(chance[np.argsort(score)]) >= -1e-12).all()


def test_log_odds_rise_by_the_slope_per_standard_deviation() -> None:
    chance = probabilities(np.array([-1.0, 0.0, 1.0]), 1.5, 0.3)
    assert np.diff(np.log(chance / (1 - chance))) == pytest.approx([1.5, 1.5])


@pytest.mark.parametrize("how", ["mean", "spread"])
def test_rows_miss_more_where_the_visible_modality_is_higher(how: Any) -> None:
    rows = 5000
    shown = view(full(rows))
    config = MarConfig(by="c", summary=how, rate=0.4, rates={"b": 0.2}, slope=2.0)
    hidden, rates = hide(config, shown)
    assert rates == {"a": 0.4, "b": 0.2, "c": 0.0}
    assert not hidden[:, 2].any()
    score = summary(shown, "c", how)
    values = shown.values("c")
    plain = values.mean(axis=1) if how == "mean" else values.std(axis=1)
    assert np.corrcoef(score, plain)[0, 1] == pytest.approx(1, abs=1e-6)
    for column, rate in ((0, 0.4), (1, 0.2)):
        assert near(float(hidden[:, column].mean()), rate, rows)
        for half in (score > 0, score <= 0):
            expected = probabilities(score, 2.0, rate)[half].mean()
            assert near(float(hidden[half, column].mean()), float(expected), int(half.sum()))


def test_missing_at_random_depends_on_nothing_that_is_hidden() -> None:
    shown, config = view(full(300)), MarConfig(by="a", rate=0.5)
    before, _ = hide(config, shown)
    assert np.array_equal(hide(config, scrambled(shown, "b", "c"))[0], before)
    assert not np.array_equal(hide(config, scrambled(shown, "a"))[0], before)


def test_missing_not_at_random_depends_on_the_hidden_value_itself() -> None:
    shown, config = view(full(300)), MnarConfig(by="value", rate=0.5)
    before, _ = hide(config, shown)
    after, _ = hide(config, scrambled(shown, "b"))
    assert np.array_equal(after[:, [0, 2]], before[:, [0, 2]])
    assert not np.array_equal(after[:, 1], before[:, 1])


def test_high_values_are_missing_more_often_at_the_expected_rate() -> None:
    rows = 5000
    shown = view(full(rows))
    hidden, _ = hide(MnarConfig(by="value", rate=0.3, rates={"c": 0.6}, slope=2.5), shown)
    for column, (name, rate) in enumerate({"a": 0.3, "b": 0.3, "c": 0.6}.items()):
        assert near(float(hidden[:, column].mean()), rate, rows)
        high = summary(shown, name, "mean") > 1
        assert hidden[high, column].mean() > rate + 0.2


def test_classes_differ_in_what_they_miss_and_alike_at_every_site() -> None:
    rows = 6000
    config = MnarConfig(by="label", rate=0.4, slope=2.0)
    shown = view(full(rows))
    hidden, _ = hide(config, shown)
    shares = np.array([[hidden[shown.targets == t, c].mean() for t in range(3)] for c in range(3)])
    assert np.abs(hidden.mean(axis=0) - 0.4).max() < 4.5 * np.sqrt(0.24 / rows)
    assert (np.ptp(shares, axis=1) > 0.2).all()
    other = replace(shown, site="elsewhere")
    again, _ = hide(config, other)
    elsewhere = np.array([[again[shown.targets == t, c].mean() for t in range(3)] for c in range(3)])
    assert np.abs(shares - elsewhere).max() < 4.5 * np.sqrt(2 * 0.25 / 2000)
    assert not np.array_equal(hidden, again)
    assert np.array_equal(hide(config, scrambled(shown, "a", "b", "c"))[0], hidden)


def test_a_slope_of_zero_is_missing_completely_at_random() -> None:
    shown = view(full(4000))
    for config in (MarConfig(by="a", slope=0.0, rate=0.3), MnarConfig(slope=0.0, rate=0.3)):
        hidden, _ = hide(config, shown)
        high = summary(shown, "a", "mean") > 0
        assert near(float(hidden[high, 1].mean()), 0.3, int(high.sum()))


def poisoned(natural: Bools, value: float) -> SiteView:
    """A view whose values behind the natural gaps are ``value``, and whose recorded values are the same ever."""
    shown = view(full(len(natural)))
    assert shown.rows is not None
    features = {}
    for column, (name, old) in enumerate(shown.rows.features.items()):
        features[name] = np.where(natural[:, [column]], old, np.float32(value))
    return replace(
        with_values(shown, **features),
        available=natural,
        rows=replace(shown.rows, features=features, available=natural),
    )


@pytest.mark.parametrize(
    "config", [MarConfig(by="a", rate=0.5), MnarConfig(rate=0.5), MarConfig(by="b", summary="spread")]
)
def test_values_behind_natural_gaps_are_never_read(config: Any) -> None:
    natural = np.random.default_rng(0).random((200, 3)) < 0.7
    masks = [hide(config, poisoned(natural, value))[0] for value in (np.nan, 1e30, -7.0, np.inf)]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert not (masks[0] & ~natural).any()


def test_a_hole_inside_a_sample_is_left_out_of_its_summary() -> None:
    shown = view(full(50))
    values = shown.values("c").copy()
    values[3, 0] = np.nan
    score = summary(with_values(shown, c=values), "c", "mean")
    plain = np.nanmean(values.astype(np.float64), axis=1)
    assert score == pytest.approx((plain - plain.mean()) / plain.std())


def test_a_constant_covariate_decides_nothing() -> None:
    shown = view(full(100))
    assert not summary(with_values(shown, a=np.ones((100, 2))), "a", "mean").any()


def test_sites_differ_by_a_standing_of_their_own_whose_mean_is_the_rate() -> None:
    found = np.array([site_probability(0, "p", f"s{n}", "a", 2.0, 0.3) for n in range(600)])
    assert abs(found.mean() - 0.3) < 4.5 * found.std() / np.sqrt(600)
    assert found.std() > 0.2
    hidden, rates = hide(MarConfig(by=None, rate=0.3, slope=2.0), view(full(3000)))
    assert all(near(float(hidden[:, c].mean()), rates[m], 3000) for c, m in enumerate("abc"))
    assert site_probability(0, "p", "s", "a", 0.0, 0.3) == pytest.approx(0.3)


def test_the_modality_that_decides_cannot_be_hidden() -> None:
    with pytest.raises(ValidationError, match="by=a is never hidden"):
        MarConfig(by="a", rates={"a": 0.2})
    hidden, _ = hide(MarConfig(by="a", rate=1.0), view(full(20)))
    assert hidden.all(axis=0).tolist() == [False, True, True]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("config", [MarConfig(by="b", rate=0.4), MnarConfig(rate=0.4)])
def test_a_modality_that_no_row_recorded_decides_nothing(config: Any) -> None:
    natural = full(400)
    natural[:, 1] = False
    hidden, _ = hide(config, view(natural))
    assert not hidden[:, 1].any()
    assert near(float(hidden[:, 0].mean()), 0.4, 400)
    nobody, _ = hide(config, view(np.zeros((0, 3), dtype=bool)))
    assert nobody.shape == (0, 3)
