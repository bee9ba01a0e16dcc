"""Rows that would hold nothing: restored, drawn anew, or lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedmce.config.schema import ImbalancedConfig, McarConfig, SiteBernoulliConfig
from fedmce.missingness import draw_masks, observe
from fedmce.missingness.empty import redraw_empty, settle_empty
from tests.missingness.views import even, full, near, view
from tests.oracles.worlds import Bools, make_dataset, make_site, patterns


@given(
    available=patterns(3, max_rows=15), rates=st.tuples(*[st.sampled_from([0.0, 0.4, 1.0])] * 3), seed=st.integers(0, 9)
)
def test_a_redrawn_row_holds_something_and_other_rows_stay(
    available: Bools, rates: tuple[float, float, float], seed: int
) -> None:
    shown = view(available, seed)
    hidden = available & (np.arange(3) > 0)  # rows that hold b or c alone are empty now
    after = redraw_empty(shown, hidden, dict(zip("abc", rates, strict=True)))
    assert (available & ~after).any(axis=1).all()
    kept = (available & ~hidden).any(axis=1)
    assert np.array_equal(after[kept], hidden[kept])


def test_redrawn_rows_follow_the_independent_draw_given_that_it_holds_something() -> None:
    rows, keep = 6000, np.array([0.2, 0.5, 0.1])
    after = redraw_empty(view(full(rows)), full(rows), dict(zip("abc", 1 - keep, strict=True)))
    codes = (~after).astype(int) @ [1, 2, 4]
    for code in range(1, 8):
        member = np.array([code >> m & 1 for m in range(3)], dtype=bool)
        share = np.where(member, keep, 1 - keep).prod() / (1 - (1 - keep).prod())
        assert near((codes == code).mean(), share, rows)


def test_what_the_site_lacks_is_not_drawn_anew() -> None:
    after = redraw_empty(view(full(200)), full(200), {"a": 1.0, "b": 0.9, "c": 0.9})
    assert after[:, 0].all()
    assert not (after[:, 1] & after[:, 2]).any()


def test_dropped_rows_are_not_observed_and_the_others_are_as_drawn() -> None:
    data = make_dataset([make_site("x", full(400, 2))])
    rule = McarConfig(rate=0.5, draw="independent", on_empty="drop")
    mask = draw_masks(data, rule, 0).sites["x"]
    empty = ~mask.available.any(axis=1)
    assert near(empty.mean(), 0.25, 400)
    assert observe(data.sites["x"], mask, data.modalities, "train").rows == (~empty).sum()
    restored = draw_masks(data, rule.model_copy(update={"on_empty": "restore"}), 0).sites["x"].available
    assert np.array_equal(restored[~empty], mask.available[~empty])
    assert (restored[empty].sum(axis=1) == 1).all()


def test_only_drop_may_leave_an_empty_row() -> None:
    shown = view(full(30))
    rates = dict.fromkeys("abc", 0.9)
    assert settle_empty(shown, full(30), rates, "drop").all()
    for rule in ("restore", "redraw"):
        assert not settle_empty(shown, full(30), rates, rule).all(axis=1).any()


@pytest.mark.parametrize("on_empty", ["restore", "redraw"])
def test_whole_sites_are_settled_as_sites(on_empty: Any) -> None:
    masks = draw_masks(even(40, 6), SiteBernoulliConfig(rate=0.8, on_empty=on_empty), 0)
    for mask in masks.sites.values():
        assert (mask.available == mask.available[0]).all()
        assert mask.available[0].any()


def test_a_site_that_lacks_everything_is_lost_if_empty_ones_are_dropped() -> None:
    masks = draw_masks(even(200, 2), SiteBernoulliConfig(rate=0.8, on_empty="drop"), 0)
    lost = np.mean([not mask.available.any() for mask in masks.sites.values()])
    assert near(float(lost), 0.8**3, 200)


def test_places_cannot_lose_rows() -> None:
    with pytest.raises(ValidationError, match="bind=position"):
        ImbalancedConfig(rates={}, bind="position", on_empty="drop")


def test_nominal_and_realised_rates_stand_side_by_side() -> None:
    splits = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    natural = full(60, 2)
    natural[:20, 1] = False
    masks = draw_masks(make_dataset([make_site("x", natural, splits)]), McarConfig(rate=0.5, on_empty="drop"), 3)
    assert masks.rates == {"x": {"a": 0.5, "b": 0.5}}
    assert masks.realised == {"x": {"a": 0.5, "b": 0.5}}  # of 40 and of the 20 that hold b
    kept = draw_masks(make_dataset([make_site("x", natural, splits)]), McarConfig(rate=0.5), 3)
    assert 0 < kept.realised["x"]["a"] < 0.5  # some rows got a back
    none = np.zeros((5, 1), dtype=bool)
    assert draw_masks(make_dataset([make_site("y", np.hstack([full(5, 1), none]))]), McarConfig(), 0).realised[
        "y"
    ].keys() == {"a"}
